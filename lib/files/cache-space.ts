import type { Quota } from './quota.js'
import { Recount, type RecountClock } from './recount.js'

/** A session that is being evicted. */
export interface Eviction {
  readonly id: string
  /** Resolves when its files were removed. Never rejects. */
  readonly ended: Promise<void>
}

/** The files of one session. */
interface ComparedFiles {
  /** The bytes that they count towards the limits. */
  readonly bytes: number
  /** Compares them with the disk. */
  compare(): Promise<void>
}

/** What {@link CacheSpace} needs of its instance. */
export interface SpaceContext extends RecountClock {
  /** The bytes of all files. */
  readonly total: Quota
  /** The files of each session, by its id. */
  readonly sessions: ReadonlyMap<string, ComparedFiles>
  /** Evicts a session that never returned and has files; `undefined` if there is none. @param except a session to keep */
  evict(except: string): Eviction | undefined
}

/** Makes room when the files of all sessions have reached their limit. */
export class CacheSpace {
  readonly #context: SpaceContext
  readonly #recount: Recount
  /** The evictions in progress, and the bytes that each will release. */
  readonly #evictions = new Map<Promise<void>, number>()

  constructor(context: SpaceContext) {
    this.#context = context
    this.#recount = new Recount(context, async () => {
      for (const files of context.sessions.values()) await files.compare()
    })
  }

  /** Compares all files with the disk, so that the space of those that the app has removed is available. */
  recount(): Promise<void> {
    return this.#recount.run()
  }

  /**
   * Evicts sessions that never returned until `bytes` more fit, or there are no such sessions.
   * @param except a session to keep
   * @returns `false` if there were none
   */
  async evict(bytes: number, except: string): Promise<boolean> {
    const { total, sessions, evict } = this.#context
    const evictions = this.#evictions
    let missing = total.missing(bytes)
    for (const released of evictions.values()) missing -= released
    while (missing > 0) {
      const eviction = evict(except)
      if (eviction === undefined) break
      const { id, ended } = eviction
      const released = sessions.get(id)?.bytes ?? 0
      evictions.set(ended, released)
      void ended.then(() => evictions.delete(ended))
      missing -= released
    }
    const running = [...evictions.keys()]
    await Promise.all(running)
    return running.length > 0
  }
}
