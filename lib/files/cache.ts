import { basename, join } from 'node:path'
import type { FileConfig } from '../file-options.js'
import { AgeQueue } from './age-queue.js'
import { InstanceDirectory } from './instance-directory.js'
import { RENEWAL } from './owner.js'
import { PeerInstances } from './peer-instances.js'
import { Publisher } from './publisher.js'
import { Quota } from './quota.js'
import { type FilesContext, SessionFiles } from './session-files.js'
import type { FileStats } from './stats.js'
import { sweepAged } from './sweeper.js'

/** What the cache is set up with. */
export type CacheConfig = Omit<FileConfig, 'uploadRoute'>

/** What the cache needs from outside. */
export interface CacheSurroundings {
  /** Runs `task` each `ms`, until the given function is called. */
  every(ms: number, task: () => Promise<unknown>): () => void
  report(error: unknown): void
}

/** The files of one instance. */
export class FileCache {
  /** What the other instances with the same cache directory hold. */
  readonly peers: PeerInstances
  readonly #instance: InstanceDirectory
  readonly #context: FilesContext
  readonly #sessions = new Map<string, SessionFiles>()
  /** The removals under way. */
  readonly #ends = new Set<Promise<void>>()
  readonly #deleteCache: CacheConfig['deleteCache']
  #surroundings: CacheSurroundings | undefined
  #stop: (() => void)[] = []
  #isClosed = false
  /** The removal of what dead processes left. */
  #cleaned: Promise<void> = Promise.resolve()

  /** @throws GradioStateError `CACHE_DIR_UNSAFE` */
  constructor(config: CacheConfig, now: () => number) {
    const { cacheDir, isDefaultDir, dedup, deleteCache } = config
    const { maxFileSize, maxSessionBytes, maxSessionFiles, maxCacheBytes } = config
    this.#instance = new InstanceDirectory(cacheDir, isDefaultDir, dedup === 'cache')
    this.peers = new PeerInstances(cacheDir, basename(this.#instance.path))
    this.#deleteCache = deleteCache
    this.#context = {
      instance: this.#instance,
      publisher: new Publisher(this.#instance.blobs),
      ages: new AgeQueue(),
      total: new Quota(maxCacheBytes, 'CACHE_FULL', 'maxCacheBytes'),
      maxFileSize,
      maxSessionBytes,
      maxSessionFiles,
      now,
    }
  }

  /** Removes what dead processes left. Nothing else is done, and nothing made, before the first file. */
  start(surroundings: CacheSurroundings): void {
    this.#surroundings = surroundings
    this.#cleaned = this.#instance.removeDead(surroundings.report).then(() => {
      // What a dead process left was removed by way of this one's directory, whose lease has to be renewed from now on.
      if (this.#instance.exists) this.#watch()
    }, surroundings.report)
  }

  stats(): FileStats {
    let files = 0
    for (const session of this.#sessions.values()) files += session.count
    return { files, fileBytes: this.#context.total.used }
  }

  /**
   * The files of a session.
   * @param begun called when this is the first time, so that the caller sees to their end
   */
  of(id: string, begun: () => void): SessionFiles {
    let files = this.#sessions.get(id)
    if (files === undefined) {
      files = new SessionFiles(this.#context, id)
      this.#sessions.set(id, files)
      this.#watch()
      begun()
    }
    return files
  }

  /** The files of a session that has some. */
  peek(id: string): SessionFiles | undefined {
    return this.#sessions.get(id)
  }

  /** Where the directory of a session is, or would be. */
  pathOf(id: string): string {
    return join(this.#instance.path, id)
  }

  /** The session has ended: nothing new comes in. */
  abort(id: string): void {
    this.#sessions.get(id)?.abort()
  }

  /** Removes the files of a session. */
  async end(id: string): Promise<void> {
    const files = this.#sessions.get(id)
    if (files === undefined) return
    this.#sessions.delete(id)
    const end = files.end()
    this.#ends.add(end)
    try {
      await end
    } finally {
      this.#ends.delete(end)
    }
  }

  /** Deletes files that were created, or written by the app, longer than `age` (ms) ago. */
  async sweep(age: number): Promise<void> {
    const { report } = this.#surroundings as CacheSurroundings
    await sweepAged(this.#context.ages, this.#context.now() - age, report)
    for (const files of this.#sessions.values())
      if (files.mayHaveUntracked) await files.sweepUntracked(age, report).catch(report)
  }

  /** Removes everything. Sessions that have not ended lose their files. */
  async close(): Promise<void> {
    this.#isClosed = true
    for (const stop of this.#stop) stop()
    await this.#cleaned
    // What fails of those that are under way is reported by whoever began them.
    const { report } = this.#surroundings as CacheSurroundings
    const ends = [...this.#ends].map(end => end.catch(() => {}))
    await Promise.all([...ends, ...[...this.#sessions.keys()].map(id => this.end(id).catch(report))])
    await this.#instance.remove().catch(report)
  }

  #watch(): void {
    if (this.#stop.length > 0 || this.#isClosed) return
    const { every, report } = this.#surroundings as CacheSurroundings
    this.#stop.push(every(RENEWAL, () => this.#instance.renewLease().catch(report)))
    if (this.#deleteCache === undefined) return
    const { frequency, age } = this.#deleteCache
    this.#stop.push(every(frequency, () => this.sweep(age).catch(report)))
  }
}
