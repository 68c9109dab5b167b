import { replaceMethod } from '../util/replace-method.js'
import type { RequestContext } from './host.js'
import type { FoundSession, HostStore, HostStoreListener } from './session-store.js'

/** An external store of koa-session. */
interface ExternalStore {
  get(key: string, maxAge: unknown, options: object): unknown
  set(key: string, session: object, maxAge: unknown, options: object): unknown
  destroy(key: string, options: object): unknown
}

/** What koa-session stores: the content of `ctx.session`, and when it expires (ms since the epoch). */
interface Stored {
  readonly _expire?: number
  readonly _maxAge?: number
}

interface Regeneration {
  /** The one that is given up. */
  readonly id: string
  readonly regenerated: (() => void)[]
}

const known = new WeakMap<object, KoaStore>()

/** An external store of koa-session. Its methods are listened to as those of express-session's stores. */
export class KoaStore implements HostStore {
  readonly #store: ExternalStore
  readonly #listeners = new Set<HostStoreListener>()
  /** The requests, by their contexts, whose sessions are just being given other ids. */
  readonly #regenerating = new Map<unknown, Regeneration>()
  #restore: () => void = () => {}

  /** The same for the same store, so that its methods are replaced once. */
  static of(store: object): KoaStore {
    const found = known.get(store) ?? new KoaStore(store as ExternalStore)
    known.set(store, found)
    return found
  }

  private constructor(store: ExternalStore) {
    this.#store = store
  }

  async find(id: string): Promise<FoundSession | undefined> {
    const stored = (await this.#store.get(id, DAY, NOBODY)) as Stored | null | undefined
    // koa-session takes one that is over for none, too; it keeps them ten seconds longer.
    if (!stored || (stored._expire ?? Number.POSITIVE_INFINITY) < Date.now()) return undefined
    return { expires: stored._expire, stored }
  }

  async touch(id: string, { stored }: FoundSession): Promise<void> {
    const { _maxAge = DAY } = stored as Stored
    const prolonged = { ...(stored as object), _expire: Date.now() + _maxAge }
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
      const [id, stored, , options] = given as [string, Stored, unknown, { ctx?: { session?: object } }?]
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
