import { Events } from '../../../lib/events.ts'
import { type CacheConfig, FileCache } from '../../../lib/files/cache.ts'

/** The files of an instance without the rest of the library, in real time. A background failure ends the process. */
export function openCache(cacheDir: string, options: Partial<CacheConfig> = {}): FileCache {
  const unlimited = Number.POSITIVE_INFINITY
  const cache = new FileCache(
    {
      cacheDir,
      isDefaultDir: false,
      deleteCache: undefined,
      dedup: 'session',
      maxFileSize: unlimited,
      maxSessionBytes: unlimited,
      maxSessionFiles: unlimited,
      maxCacheBytes: unlimited,
      ...options,
    },
    () => performance.now(),
    new Events(),
  )
  cache.start({
    every(ms, task) {
      const timer = setInterval(() => void task(), ms)
      return () => clearInterval(timer)
    },
    pause: ms => new Promise(resolve => setTimeout(resolve, ms)),
    evict: () => undefined,
    report: error => {
      throw error
    },
  })
  return cache
}
