import type { EventEmitter } from 'node:events'
import type { SessionStore } from '../options.js'
import { type Method, type Replacement, replaceMethod } from '../util/replace-method.js'
import type { RequestContext } from './request-context.js'
import type { FoundSession, FrameworkStore, FrameworkStoreListener } from './session-store.js'

/** Optional members of a store. */
interface FullStore extends SessionStore, Partial<Pick<EventEmitter, 'on' | 'off'>> {
  touch?(id: string, session: object, done: (error?: unknown) => void): unknown
  createSession?(req: object, stored: unknown): { touch(): void }
}

type Done = (this: unknown, error?: unknown, ...rest: unknown[]) => unknown

const known = new WeakMap<object, ExpressStore>()

/**
 * A store of express-session. Stores emit no event when a session ends, so their methods are wrapped: each call and each result
 * passes through unchanged.
 */
export class ExpressStore implements FrameworkStore {
  readonly #store: FullStore
  readonly #listeners = new Set<FrameworkStoreListener>()
  /** Sessions that are being regenerated: their `destroy` isn't a logout. */
  readonly #regenerating = new Set<string>()
  #restore: (() => void)[] = []

  /** Returns the same object for the same store, so that its methods are wrapped once. */
  static of(store: SessionStore): ExpressStore {
    const found = known.get(store) ?? new ExpressStore(store)
    known.set(store, found)
    return found
  }

  private constructor(store: SessionStore) {
    this.#store = store
  }

  find(id: string): Promise<FoundSession | undefined> {
    return new Promise((resolve, reject) => {
      const done = (error: unknown, session?: unknown) => {
        if (error && !isMissing(error)) reject(error)
        else if (error || !session) resolve(undefined)
        else resolve({ expires: expiryOf(session), touch: () => this.#touch(id, session) })
      }
      // Stores may also return a promise. It rejects with the error that `done` receives.
      const given = this.#store.get(id, done)
      if (given instanceof Promise) given.catch(reject)
    })
  }

  async #touch(id: string, stored: unknown): Promise<void> {
    const store = this.#store
    if (store.touch === undefined || store.createSession === undefined) return
    // `get` returns plain data; `touch` of some stores needs the methods of express-session's session object.
    const session = store.createSession({ sessionID: id, sessionStore: store }, stored)
    session.touch()
    await new Promise<void>((resolve, reject) => {
      const given = store.touch?.(id, session, error => (error ? reject(error) : resolve()))
      if (given instanceof Promise) given.catch(reject)
    })
  }

  listen(listener: FrameworkStoreListener): () => void {
    if (this.#listeners.size === 0) this.#begin()
    this.#listeners.add(listener)
    return () => {
      this.#listeners.delete(listener)
      if (this.#listeners.size > 0) return
      for (const restore of this.#restore.splice(0)) restore()
    }
  }

  #begin(): void {
    const notify = (event: (listener: FrameworkStoreListener) => void) => {
      for (const listener of this.#listeners) event(listener)
    }
    for (const name of ['set', 'touch']) {
      this.#replace(name, (original, store, given) => {
        const [id, session] = given
        const written = name === 'set' ? (session as object) : undefined
        notify(listener => listener.saved(id as string, written, expiryOf(session)))
        return original.apply(store, given)
      })
    }
    this.#replace('destroy', (original, store, [id, done, ...rest]) => {
      // Only the first `destroy` belongs to the regeneration: one that hangs must not hide a logout.
      const isRegenerating = this.#regenerating.delete(id as string)
      const succeeded = () => {
        if (!isRegenerating) notify(listener => listener.destroyed(id as string))
      }
      return original.call(store, id, whenDone(done, succeeded), ...rest)
    })
    this.#replace('clear', (original, store, [done, ...rest]) => {
      const succeeded = () => notify(listener => listener.cleared())
      return original.call(store, whenDone(done, succeeded), ...rest)
    })
    this.#replace('regenerate', (...call) => this.#regenerate(...call))
    this.#follow('connect', true)
    this.#follow('disconnect', false)
  }

  #regenerate(original: Method, store: unknown, [req, done, ...rest]: unknown[]): unknown {
    const context = req as RequestContext
    const id = context.sessionID as string
    this.#regenerating.add(id)
    const listeners = [...this.#listeners].map(listener => listener.regenerating(id, context))
    const succeeded = () => {
      for (const regenerated of listeners) regenerated()
    }
    const settled = () => this.#regenerating.delete(id)
    return original.call(store, req, whenDone(done, succeeded, settled), ...rest)
  }

  #follow(event: 'connect' | 'disconnect', isConnected: boolean): void {
    const store = this.#store
    const notify = () => {
      for (const listener of this.#listeners) listener.connected(isConnected)
    }
    if (typeof store.on !== 'function') return
    store.on(event, notify)
    this.#restore.push(() => store.off?.(event, notify))
  }

  #replace(name: string, instead: Replacement): void {
    this.#restore.push(replaceMethod(this.#store, name, instead))
  }
}

/** Wraps a store's callback: calls `succeeded` before it, once. Some stores call back twice. */
function whenDone(done: unknown, succeeded: () => void, settled: () => void = () => {}): Done {
  let isFirst = true
  return function (error, ...rest) {
    if (isFirst) {
      isFirst = false
      settled()
      if (!error) succeeded()
    }
    return typeof done === 'function' ? done.call(this, error, ...rest) : undefined
  }
}

/**
 * express-session interprets ENOENT as "no such session", because session-file-store reports it so. A database whose Unix socket
 * doesn't exist reports it too, but has only failed to connect.
 */
function isMissing(error: unknown): boolean {
  const { code, syscall } = error as NodeJS.ErrnoException
  return code === 'ENOENT' && syscall !== 'connect'
}

/** When a session of express-session expires (ms since the epoch), according to its cookie. */
export function expiryOf(session: unknown): number | undefined {
  const expires = (session as { cookie?: { expires?: unknown } } | undefined)?.cookie?.expires
  const time =
    expires instanceof Date || typeof expires === 'string' ? new Date(expires).getTime() : Number.NaN
  return Number.isNaN(time) ? undefined : time
}
