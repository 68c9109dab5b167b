import { NotAPicture } from './uploads.ts'

/** The status of an error's response, and a message for the user. */
export function explain(
  error: Error & { status?: number; code?: string },
  maxFileSize: string,
): [number, string] {
  if (error.name === 'AbortError') return [409, 'The page was closed before the picture was generated.']
  if (error instanceof NotAPicture) return [error.status, error.message]
  if (error.name === 'MulterError') return [400, 'At most 20 pictures can be uploaded at once.']
  if (error.code === 'FILE_TOO_LARGE') return [413, `A picture may have at most ${maxFileSize}.`]
  // Errors of gradio-state have a status: 413, 503 or 507 when a limit is reached or the server is shutting down.
  const { status = 500 } = error
  const isFull = [413, 503, 507].includes(status)
  return [status, isFull ? 'The server has no space left at the moment.' : 'Something went wrong.']
}
