import type { CachedFile, GradioState, RequestState } from 'gradio-state'
import multer from 'multer'
import sharp from 'sharp'

/** Types that browsers display in an `<img>`. SVG is excluded, since it can run scripts when it is opened on its own. */
const pictureTypes = ['image/png', 'image/jpeg', 'image/webp', 'image/gif', 'image/avif']
const pictureNames = /\.(png|jpe?g|webp|gif|avif)$/i

const pictureFormats = ['png', 'jpeg', 'webp', 'gif', 'heif']

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
 * instance with the storage of gradio-state checks the type and the name of each file before any of it is stored.
 */
export function uploadPictures({ storage }: GradioState) {
  const upload = multer({
    storage,
    defParamCharset: 'utf8',
    limits: { files: 20 },
    fileFilter(_req, { mimetype, originalname }, done) {
      // The type of a served file depends on its name.
      if (pictureTypes.includes(mimetype) && pictureNames.test(originalname)) done(null, true)
      else done(new NotAPicture(originalname))
    },
  })
  return upload.array('files')
}

/** Deletes files that are not images, whatever their names say, and returns the images. */
export async function keepPictures(
  state: RequestState,
  files: readonly CachedFile[],
): Promise<{ pictures: CachedFile[]; others: CachedFile[] }> {
  const checked = await Promise.all(
    files.map(async file => ({ file, isPicture: await isPicture(file.path) })),
  )
  const pictures = checked.filter(({ isPicture }) => isPicture).map(({ file }) => file)
  const others = checked.filter(({ isPicture }) => !isPicture).map(({ file }) => file)
  await Promise.all(others.map(file => state.deleteFile(file)))
  return { pictures, others }
}

/** AVIF is a kind of HEIF. */
async function isPicture(path: string): Promise<boolean> {
  try {
    const { format } = await sharp(path).metadata()
    return pictureFormats.includes(format)
  } catch {
    return false
  }
}
