/** What `stats()` tells of the files. */
export interface FileStats {
  /** Files that were saved or uploaded and not yet deleted. */
  readonly files: number
  /** The bytes of all files, as they count for `maxCacheBytes`: stored, on their way, and found; at least 4 KiB for each. */
  readonly fileBytes: number
}
