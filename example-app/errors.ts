import { NotAPicture } from './uploads.ts'

/** The status that answers an error, and a sentence for a reader of the page; a developer reads the code. */
export function explain(
  error: Error & { status?: number; code?: string },
  maxFileSize: string,
): [number, string] {
  if (error.name === 'AbortError') return [409, 'The page was closed before its picture was made.']
  if (error instanceof NotAPicture) return [error.status, error.message]
  if (error.name === 'MulterError') return [400, 'At most 20 pictures can be uploaded at once.']
  if (error.code === 'FILE_TOO_LARGE') return [413, `A picture may have ${maxFileSize} at most.`]
  // The errors of gradio-state come with the status to answer: 503 where it is full, or closing down.
  const { status = 500 } = error
  const isFull = [413, 503, 507].includes(status)
  return [status, isFull ? 'The server has no room just now.' : 'Something went wrong.']
}
