/**
 * What a file can be made of: bytes, a string as text, a stream, a Blob. A file on the disk only as `{ path }`: a string
 * is never a path, since it may come from a user.
 */
export type FileData =
  | string
  | ArrayBuffer
  | Uint8Array
  | Blob
  | AsyncIterable<string | Uint8Array>
  | ReadableStream<Uint8Array>
  | { readonly path: string }
