import { originOf, proofOfOrigin } from './own-origin.js'

/** The progress of an upload, in bytes of the request body, which is a little longer than its files. */
export interface UploadProgress {
  loaded: number
  total: number
}

export interface UploadOptions {
  /**
   * A URL of the app that accepts `multipart/form-data`, relative to the document. Default: the library's own route, which the server
   * has with `uploadRoute: true`.
   */
  url?: string | URL
  /** The name of the form field. Default: `files`. */
  field?: string
  /** Called while the request is being sent, and once more when all of it has been sent. The server may not have responded by then. */
  onProgress?(progress: UploadProgress): void
  /** Aborts the upload. The server keeps none of its files. */
  signal?: AbortSignal
}

/** The error of a failed upload. */
export interface UploadError extends Error {
  /** The status of the response; 0 if there was none. */
  status: number
  /**
   * The code of an error of this library or of multer, such as `FILE_TOO_LARGE`: from a JSON body `{ error: { code } }`, else from the
   * header `Gradio-State-Error`.
   */
  code?: string
  /** The body of the response: parsed JSON, or text. */
  body: unknown
}

/** The part of a page that an upload uses. */
interface Sender extends EventTarget {
  readonly connected: boolean
  readonly headers: Readonly<Record<string, string>>
}

/** Sends files from `page` when it is connected. Without the session's cookie, the request would start its own session. */
export function sendFiles(
  page: Sender,
  route: string,
  files: Iterable<Blob> | Blob,
  { url = route, field = 'files', onProgress, signal }: UploadOptions = {},
): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const form = new FormData()
    // Read now, since the app may reset its `<input>`, which empties the list.
    for (const file of files instanceof Blob ? [files] : files) form.append(field, file)

    // `fetch` doesn't report the progress of an upload.
    const request = new XMLHttpRequest()

    const start = () => {
      request.open('POST', url)
      request.withCredentials = true
      const isOfServer = originOf(url) === originOf(route)
      const headers = { ...proofOfOrigin(url), ...(isOfServer && page.headers) }
      for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value)
      // Only if needed: with a listener here, a request to another origin needs a preflight.
      if (onProgress) {
        request.upload.onprogress = ({ loaded, total }) => onProgress({ loaded, total })
      }
      request.send(form)
    }

    const abort = () => {
      reject(signal?.reason)
      page.removeEventListener('connected', start)
      request.abort()
    }

    request.onloadend = () => {
      signal?.removeEventListener('abort', abort)
      const { status, responseText } = request
      const body = parse(responseText)
      if (status >= 200 && status < 300) resolve(body)
      else reject(uploadError(request, body))
    }

    if (signal?.aborted) {
      abort()
      return
    }
    signal?.addEventListener('abort', abort)
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

function uploadError(request: XMLHttpRequest, body: unknown): UploadError {
  const { status } = request
  const { error } = (body ?? {}) as { error?: { code?: string; message?: string } }
  const { message } = error ?? {}
  const code = error?.code ?? request.getResponseHeader('Gradio-State-Error')
  const text =
    message || (status ? `The server responded with status ${status}.` : 'The server did not respond.')
  return Object.assign(new Error(text), { status, body }, code && { code })
}
