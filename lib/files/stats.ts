/** What `stats()` reports about files. */
export interface FileStats {
  /** The number of saved and uploaded files, as of when each was last compared with the disk. */
  readonly files: number
  /**
   * The bytes that count towards `maxCacheBytes`: saved files, uploads in progress, and files that a sweep has found in
   * directories of sessions. Each counts at least 4 KiB.
   */
  readonly fileBytes: number
}
