import { basename, join } from 'node:path'
import type { Events } from '../events.js'
import type { FileConfig } from '../file-options.js'
import { AgeQueue } from './age-queue.js'
import { CacheSpace, type Eviction } from './cache-space.js'
import { removeDeadInstances } from './dead-instances.js'
import type { FilesContext } from './file-saver.js'
import { InstanceDirectory } from './instance-directory.js'
import type { OpenFile } from './open-file.js'
import { RENEWAL_INTERVAL } from './owner.js'
import { PeerInstances } from './peer-instances.js'
import { Publisher } from './publisher.js'
import { Quota } from './quota.js'
import { SessionFiles } from './session-files.js'
import type { FileStats } from './stats.js'
import { sweepAged } from './sweeper.js'

/** The file options without those of the upload route. */
export type CacheConfig = Omit<FileConfig, 'uploadRoute'>

/** The functions of an instance that the cache calls. */
export interface CacheDependencies {
  /** Runs `task` every `ms`. @returns a function that stops this */
  every(ms: number, task: () => Promise<unknown>): () => void
  report(error: unknown): void
  /** Resolves after `ms`. */
  pause(ms: number): Promise<void>
  /** See {@link SpaceContext.evict}. */
  evict(except: string): Eviction | undefined
}

/** The files of one instance. */
export class FileCache {
  /** The files of other instances with the same cache directory. */
  readonly peers: PeerInstances
  readonly #instance: InstanceDirectory
  readonly #context: FilesContext
  readonly #sessions = new Map<string, SessionFiles>()
  /** Running removals of ended sessions. */
  readonly #removals = new Set<Promise<void>>()
  readonly #deleteCache: CacheConfig['deleteCache']
  #dependencies: CacheDependencies | undefined
  #stopTimers: (() => void)[] = []
  #isClosed = false
  /** The removal of the directories of dead processes. */
  #deadRemoved: Promise<void> = Promise.resolve()

  /** @throws GradioStateError `CACHE_DIR_UNSAFE` */
  constructor(config: CacheConfig, now: () => number, events: Events) {
    const { cacheDir, isDefaultDir, dedup, deleteCache } = config
    const { maxFileSize, maxSessionBytes, maxSessionFiles, maxCacheBytes } = config
    this.#instance = new InstanceDirectory(cacheDir, isDefaultDir, dedup === 'cache', events.instance)
    this.peers = new PeerInstances(cacheDir, basename(this.#instance.path), this.#instance.access)
    this.#deleteCache = deleteCache
    const total = new Quota(maxCacheBytes, 'CACHE_FULL', 'maxCacheBytes')
    const clock = { now, pause: (ms: number) => this.#started.pause(ms) }
    const evict = (except: string) => this.#started.evict(except)
    this.#context = {
      ...clock,
      events,
      total,
      space: new CacheSpace({ ...clock, total, evict, sessions: this.#sessions }),
      instance: this.#instance,
      publisher: new Publisher(this.#instance.blobs),
      ages: new AgeQueue(),
      maxFileSize,
      maxSessionBytes,
      maxSessionFiles,
    }
  }

  /** Removes the directories of dead processes. Nothing is created before the first file, unless there is such a directory. */
  start(dependencies: CacheDependencies): void {
    this.#dependencies = dependencies
    this.#deadRemoved = removeDeadInstances(this.#instance, dependencies.report).then(() => {
      // The removal creates this instance's directory for its trash. From then on the lease has to be renewed.
      if (this.#instance.exists) this.#startTimers()
    }, dependencies.report)
  }

  stats(): FileStats {
    let files = 0
    for (const session of this.#sessions.values()) files += session.count
    return { files, fileBytes: this.bytes }
  }

  /** The bytes that count towards `maxCacheBytes`. */
  get bytes(): number {
    return this.#context.total.used
  }

  /**
   * The files of a session.
   * @param onFirstUse called at the first call for a session, so that the caller calls `end` when the session ends
   * @param parent for a scope: the files of its session
   */
  of(id: string, onFirstUse: () => void, parent?: SessionFiles): SessionFiles {
    let files = this.#sessions.get(id)
    if (files === undefined) {
      files = new SessionFiles(this.#context, id, parent)
      this.#sessions.set(id, files)
      this.#startTimers()
      onFirstUse()
    }
    return files
  }

  /** The files of a session; `undefined` if {@link of} was never called for it, or it has ended. */
  peek(id: string): SessionFiles | undefined {
    return this.#sessions.get(id)
  }

  /** The path of a session's directory, whether it exists or not. */
  pathOf(id: string): string {
    return join(this.#instance.path, id)
  }

  /** See {@link InstanceDirectory.open}. */
  open(path: string): Promise<OpenFile | undefined> {
    return this.#instance.open(path)
  }

  /** Called when a session has ended: refuses new files and aborts its uploads. */
  abort(id: string): void {
    this.#sessions.get(id)?.abort()
  }

  /** Removes the files of a session. */
  async end(id: string): Promise<void> {
    const files = this.#sessions.get(id)
    if (files === undefined) return
    this.#sessions.delete(id)
    const end = files.end()
    this.#removals.add(end)
    try {
      await end
    } finally {
      this.#removals.delete(end)
    }
  }

  /** Deletes files that were saved, or written by the app, more than `age` (ms) ago. */
  async sweep(age: number): Promise<void> {
    const { report } = this.#started
    await sweepAged(this.#context.ages, this.#context.now() - age, report)
    for (const files of this.#sessions.values())
      if (files.mayHaveUntracked) await files.sweepUntracked(age, report).catch(report)
  }

  /** Removes all files, including those of sessions that have not ended, and the directory of the instance. */
  async close(): Promise<void> {
    this.#isClosed = true
    for (const stop of this.#stopTimers) stop()
    await this.#deadRemoved
    // The caller of `end` reports errors of running removals.
    const { report } = this.#started
    const removals = [...this.#removals].map(removal => removal.catch(() => {}))
    await Promise.all([...removals, ...[...this.#sessions.keys()].map(id => this.end(id).catch(report))])
    await this.#instance.remove().catch(report)
  }

  /** What {@link start} has been given. */
  get #started(): CacheDependencies {
    return this.#dependencies as CacheDependencies
  }

  #startTimers(): void {
    if (this.#stopTimers.length > 0 || this.#isClosed) return
    const { every, report } = this.#started
    this.#stopTimers.push(every(RENEWAL_INTERVAL, () => this.#instance.renewLease().catch(report)))
    if (this.#deleteCache === undefined) return
    const { frequency, age } = this.#deleteCache
    this.#stopTimers.push(every(frequency, () => this.sweep(age).catch(report)))
  }
}
