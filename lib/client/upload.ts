import { proofOfOrigin } from './own-origin.js'

/** How much of an upload has been sent: bytes of the whole request, which are a few more than those of its files. */
export interface UploadProgress {
  loaded: number
  total: number
}

export interface UploadOptions {
  /**
   * Any URL of the app that takes `multipart/form-data`, against the document's address. Default: the library's own
   * route, which the server has with `uploadRoute: true`.
   */
  url?: string | URL
  /** The name of the form's field. Default: `files`. */
  field?: string
  /** Called as the files leave, and last when all have left: the server may still be at work then. */
  onProgress?(progress: UploadProgress): void
  /** Stops the upload; the server keeps nothing of it. */
  signal?: AbortSignal
}

/** What an upload that failed rejects with. */
export interface UploadError extends Error {
  /** Of the answer; 0 without one. */
  status: number
  /** Of the library's errors, such as `FILE_TOO_LARGE`. */
  code?: string
  /** The answer: its JSON, or its text. */
  body: unknown
}

/** What of a page an upload needs. */
interface Sender extends EventTarget {
  readonly connected: boolean
}

/**
 * Sends files from `page`. Not before it is connected: a request that leaves without the session's cookie would make a
 * session of its own.
 */
export function send(
  page: Sender,
  route: string,
  files: Iterable<Blob> | Blob,
  { url = route, field = 'files', onProgress, signal }: UploadOptions = {},
): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const form = new FormData()
    // Now, since the list of an `<input>` is emptied with it.
    for (const file of files instanceof Blob ? [files] : files) form.append(field, file)

    // `fetch` tells no progress.
    const request = new XMLHttpRequest()

    const start = () => {
      request.open('POST', url)
      request.withCredentials = true
      for (const header of proofOfOrigin(url)) request.setRequestHeader(...header)
      // Whoever listens here makes a request to another origin one with a preflight.
      if (onProgress) {
        request.upload.onprogress = ({ loaded, total }) => onProgress({ loaded, total })
      }
      request.send(form)
    }

    const stop = () => {
      reject(signal?.reason)
      page.removeEventListener('connected', start)
      request.abort()
    }

    request.onloadend = () => {
      signal?.removeEventListener('abort', stop)
      const { status, responseText } = request
      const body = parse(responseText)
      if (status >= 200 && status < 300) resolve(body)
      else reject(failure(status, body))
    }

    if (signal?.aborted) {
      stop()
      return
    }
    signal?.addEventListener('abort', stop)
    if (page.connected) start()
    else page.addEventListener('connected', start, { once: true })
  })
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

function failure(status: number, body: unknown): UploadError {
  const { code, message } = (body as { error?: { code?: string; message?: string } } | null)?.error || {}
  const sentence = message || (status ? `The server answered ${status}.` : 'The server did not answer.')
  return Object.assign(new Error(sentence), { status, body }, code && { code })
}
