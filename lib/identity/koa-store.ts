import { replaceMethod } from '../util/replace-method.js'
import type { KoaExternalStore, KoaStoredSession, RequestContext } from './request-context.js'
import type { FoundSession, FrameworkStore, FrameworkStoreListener } from './session-store.js'

interface Regeneration {
  /** The id of the session that is replaced. */
  readonly id: string
  readonly regenerated: (() => void)[]
}

const known = new WeakMap<object, KoaStore>()

/** An external store of koa-session. Its methods are wrapped, as in {@link ExpressStore}. */
export class KoaStore implements FrameworkStore {
  readonly #store: KoaExternalStore
  readonly #listeners = new Set<FrameworkStoreListener>()
  /** The requests, by their contexts, whose sessions are being regenerated. */
  readonly #regenerating = new Map<unknown, Regeneration>()
  #restore: () => void = () => {}

  /** Returns the same object for the same store, so that its methods are wrapped once. */
  static of(store: KoaExternalStore): KoaStore {
    const found = known.get(store) ?? new KoaStore(store)
    known.set(store, found)
    return found
  }

  private constructor(store: KoaExternalStore) {
    this.#store = store
  }

  async find(id: string): Promise<FoundSession | undefined> {
    const stored = await this.#store.get(id, DEFAULT_LIFETIME, NO_CONTEXT)
    // As koa-session does: an expired session counts as missing, although stores keep it ten seconds longer.
    if (!stored || (stored._expire ?? Number.POSITIVE_INFINITY) < Date.now()) return undefined
    return { expires: stored._expire, touch: () => this.#touch(id, stored) }
  }

  async #touch(id: string, stored: KoaStoredSession): Promise<void> {
    const { _maxAge = DEFAULT_LIFETIME } = stored
    const prolonged = { ...stored, _expire: Date.now() + _maxAge }
    await this.#store.set(id, prolonged, _maxAge + EXTRA_LIFETIME, { ...NO_CONTEXT, changed: false })
  }

  listen(listener: FrameworkStoreListener): () => void {
    if (this.#listeners.size === 0) this.#begin()
    this.#listeners.add(listener)
    return () => {
      this.#listeners.delete(listener)
      if (this.#listeners.size === 0) this.#restore()
    }
  }

  /** Runs `regenerate`, which gives a request's session a new id and destroys it under the old one. */
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
    const notify = (event: (listener: FrameworkStoreListener) => void) => {
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
      // The first write under the new id: from now on, the session in the request is the new one.
      if (regeneration?.id !== id)
        for (const regenerated of regeneration?.regenerated.splice(0) ?? []) regenerated()
      // `stored` is a copy; the request has the original.
      const session = options?.ctx?.session
      notify(listener => listener.saved(id, session, stored._expire))
      return original.apply(store, given)
    })
    const restoreDestroy = replaceMethod(this.#store, 'destroy', async (original, store, given) => {
      const [id, options] = given as [string, { ctx?: unknown }?]
      const result = await original.apply(store, given)
      if (this.#regenerating.get(options?.ctx)?.id !== id) notify(listener => listener.destroyed(id))
      return result
    })
    this.#restore = () => {
      restoreSet()
      restoreDestroy()
    }
  }
}

/** Stands in for the request's context, which some stores read. */
const NO_CONTEXT = { ctx: {}, rolling: false }
/** koa-session's default lifetime, and how much longer stores keep a session, in milliseconds. */
const DEFAULT_LIFETIME = 86_400_000
const EXTRA_LIFETIME = 10_000
