import type { GradioState } from 'gradio-state'
import multer from 'multer'

/** Types that browsers display in an `<img>`. SVG is excluded, since it can run scripts when it is opened on its own. */
const pictureTypes = ['image/png', 'image/jpeg', 'image/webp', 'image/gif', 'image/avif']
const pictureNames = /\.(png|jpe?g|webp|gif|avif)$/i

/** The files of a request, as multer sets them. */
export type Uploaded = Express.Request['files']

/** The message is shown to the user. */
export class NotAPicture extends Error {
  override name = 'NotAPicture'
  readonly status = 415

  constructor(fileName: string) {
    super(`“${fileName}” is not a picture that this page can show.`)
  }
}

/**
 * Stores the pictures of the field `files` in the session. `gradio.upload.array('files')` would accept any file. This multer
 * instance with the storage of gradio-state checks each file before any of it is stored.
 */
export function uploadPictures({ storage }: GradioState) {
  const upload = multer({
    storage,
    defParamCharset: 'utf8',
    limits: { files: 20 },
    fileFilter(_req, { mimetype, originalname }, done) {
      // A file is served with the type of its name.
      if (pictureTypes.includes(mimetype) && pictureNames.test(originalname)) done(null, true)
      else done(new NotAPicture(originalname))
    },
  })
  return upload.array('files')
}
