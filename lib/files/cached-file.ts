/** A file in the cache, as apps see it. */
export interface CachedFile {
  /** Where the browser of its own user finds it. */
  readonly url: string
  readonly path: string
  readonly name: string
  /** In bytes. */
  readonly size: number
  /** Of the content, in hex. */
  readonly sha256: string
  /** By the ending of the name: what a browser says of its upload is not to be trusted. */
  readonly mimeType: string
}
