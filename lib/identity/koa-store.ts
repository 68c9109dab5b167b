import { replaceMethod } from '../util/replace-method.js'
import type { KoaExternalStore, KoaStoredSession, RequestContext } from './host.js'
import type { FoundSession, HostStore, HostStoreListener } from './session-store.js'

interface Regeneration {
  /** The one that is given up. */
  readonly id: string
  readonly regenerated: (() => void)[]
}

const known = new WeakMap<object, KoaStore>()

/** An external store of koa-session. Its methods are listened to as those of express-session's stores. */
export class KoaStore implements HostStore {
  readonly #store: KoaExternalStore
  readonly #listeners = new Set<HostStoreListener>()
  /** The requests, by their contexts, whose sessions are just being given other ids. */
  readonly #regenerating = new Map<unknown, Regeneration>()
  #restore: () => void = () => {}

  /** The same for the same store, so that its methods are replaced once. */
  static of(store: KoaExternalStore): KoaStore {
    const found = known.get(store) ?? new KoaStore(store)
    known.set(store, found)
    return found
  }

  private constructor(store: KoaExternalStore) {
    this.#store = store
  }

  async find(id: string): Promise<FoundSession | undefined> {
    const stored = await this.#store.get(id, DAY, NOBODY)
    // koa-session takes one that is over for none, too; it keeps them ten seconds longer.
    if (!stored || (stored._expire ?? Number.POSITIVE_INFINITY) < Date.now()) return undefined
    return { expires: stored._expire, touch: () => this.#touch(id, stored) }
  }

  async #touch(id: string, stored: KoaStoredSession): Promise<void> {
    const { _maxAge = DAY } = stored
    const prolonged = { ...stored, _expire: Date.now() + _maxAge }
    await this.#store.set(id, prolonged, _maxAge + LONGER, { ...NOBODY, changed: false })
  }

  listen(listener: HostStoreListener): () => void {
    if (this.#listeners.size === 0) this.#begin()
    this.#listeners.add(listener)
    return () => {
      this.#listeners.delete(listener)
      if (this.#listeners.size === 0) this.#restore()
    }
  }

  /** Runs `regenerate`, which gives a request's session another id and destroys it under the one it had. */
  async regenerating(ctx: unknown, context: RequestContext, regenerate: () => Promise<void>): Promise<void> {
    const id = context.sessionID as string
    const regenerated = [...this.#listeners].map(listener => listener.regenerating(id, context))
    this.#regenerating.set(ctx, { id, regenerated })
    try {
      await regenerate()
    } finally {
      this.#regenerating.delete(ctx)
    }
  }

  #begin(): void {
    const tell = (event: (listener: HostStoreListener) => void) => {
      for (const listener of this.#listeners) event(listener)
    }
    const restoreSet = replaceMethod(this.#store, 'set', (original, store, given) => {
      const [id, stored, , options] = given as [
        string,
        KoaStoredSession,
        unknown,
        { ctx?: { session?: object } }?,
      ]
      const regeneration = this.#regenerating.get(options?.ctx)
      // The first that is written under the new id: from now on, that one is meant.
      if (regeneration?.id !== id)
        for (const regenerated of regeneration?.regenerated.splice(0) ?? []) regenerated()
      // What is stored is a copy.
      const session = options?.ctx?.session
      tell(listener => listener.saved(id, session, stored._expire))
      return original.apply(store, given)
    })
    const restoreDestroy = replaceMethod(this.#store, 'destroy', async (original, store, given) => {
      const [id, options] = given as [string, { ctx?: unknown }?]
      const result = await original.apply(store, given)
      if (this.#regenerating.get(options?.ctx)?.id !== id) tell(listener => listener.destroyed(id))
      return result
    })
    this.#restore = () => {
      restoreSet()
      restoreDestroy()
    }
  }
}

/** Some stores look at the request; there is none. */
const NOBODY = { ctx: {}, rolling: false }
/** The lifetime that koa-session gives where none is set, and how much longer it has stores keep a session. */
const DAY = 86_400_000
const LONGER = 10_000
