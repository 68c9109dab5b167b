import type { GradioState } from 'gradio-state'
import multer from 'multer'

/** What any browser shows in an `<img>`. No SVG: opened by itself, it could run scripts. */
const pictureTypes = ['image/png', 'image/jpeg', 'image/webp', 'image/gif', 'image/avif']
const pictureNames = /\.(png|jpe?g|webp|gif|avif)$/i

/** What multer gives of the files of a request. */
export type Uploaded = Express.Request['files']

/** For a reader of the page. */
export class NotAPicture extends Error {
  override name = 'NotAPicture'
  readonly status = 415

  constructor(fileName: string) {
    super(`“${fileName}” is no picture that this page can show.`)
  }
}

/**
 * Takes the pictures of the field `files` into the session's cache. `gradio.upload.array('files')` would take any file;
 * a multer of one's own with the storage of gradio-state looks at each before a byte of it is stored.
 */
export function uploadPictures({ storage }: GradioState) {
  const upload = multer({
    storage,
    defParamCharset: 'utf8',
    limits: { files: 20 },
    fileFilter(_req, { mimetype, originalname }, done) {
      // The name decides by which type it will be served.
      if (pictureTypes.includes(mimetype) && pictureNames.test(originalname)) done(null, true)
      else done(new NotAPicture(originalname))
    },
  })
  return upload.array('files')
}
