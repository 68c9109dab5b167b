import type { EventEmitter } from 'node:events'
import type { SessionStore } from '../options.js'
import { type Method, type Replacement, replaceMethod } from '../util/replace-method.js'
import type { RequestContext } from './host.js'
import type { FoundSession, HostStore, HostStoreListener } from './session-store.js'

/** What some stores have beside. */
interface FullStore extends SessionStore, Partial<Pick<EventEmitter, 'on' | 'off'>> {
  touch?(id: string, session: object, done: (error?: unknown) => void): unknown
  createSession?(req: object, stored: unknown): { touch(): void }
}

type Done = (this: unknown, error?: unknown, ...rest: unknown[]) => unknown

const known = new WeakMap<object, ExpressStore>()

/**
 * A store of express-session. No store tells when a session is gone, so its methods are listened to: each call goes on as
 * it came, and what the store answers is answered.
 */
export class ExpressStore implements HostStore {
  readonly #store: FullStore
  readonly #listeners = new Set<HostStoreListener>()
  /** Their sessions are destroyed too, but not by a logout. */
  readonly #regenerating = new Set<string>()
  #restore: (() => void)[] = []

  /** The same for the same store, so that its methods are replaced once. */
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
      // Connect-style stores give a promise beside: its rejection is the same error once more.
      const given = this.#store.get(id, done)
      if (given instanceof Promise) given.catch(reject)
    })
  }

  async #touch(id: string, stored: unknown): Promise<void> {
    const store = this.#store
    if (store.touch === undefined || store.createSession === undefined) return
    // What `get` gives is plain; stores read what express-session's own object has.
    const session = store.createSession({ sessionID: id, sessionStore: store }, stored)
    session.touch()
    await new Promise<void>((resolve, reject) => {
      const given = store.touch?.(id, session, error => (error ? reject(error) : resolve()))
      if (given instanceof Promise) given.catch(reject)
    })
  }

  listen(listener: HostStoreListener): () => void {
    if (this.#listeners.size === 0) this.#begin()
    this.#listeners.add(listener)
    return () => {
      this.#listeners.delete(listener)
      if (this.#listeners.size > 0) return
      for (const restore of this.#restore.splice(0)) restore()
    }
  }

  #begin(): void {
    const tell = (event: (listener: HostStoreListener) => void) => {
      for (const listener of this.#listeners) event(listener)
    }
    for (const name of ['set', 'touch']) {
      this.#replace(name, (original, store, given) => {
        const [id, session] = given
        const written = name === 'set' ? (session as object) : undefined
        tell(listener => listener.saved(id as string, written, expiryOf(session)))
        return original.apply(store, given)
      })
    }
    this.#replace('destroy', (original, store, [id, done, ...rest]) => {
      // Only the first is a part of it: a regeneration that hangs must not hide a logout.
      const isRegenerating = this.#regenerating.delete(id as string)
      const succeeded = () => {
        if (!isRegenerating) tell(listener => listener.destroyed(id as string))
      }
      return original.call(store, id, whenDone(done, succeeded), ...rest)
    })
    this.#replace('clear', (original, store, [done, ...rest]) => {
      const succeeded = () => tell(listener => listener.cleared())
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
    const tell = () => {
      for (const listener of this.#listeners) listener.connected(isConnected)
    }
    if (typeof store.on !== 'function') return
    store.on(event, tell)
    this.#restore.push(() => store.off?.(event, tell))
  }

  #replace(name: string, instead: Replacement): void {
    this.#restore.push(replaceMethod(this.#store, name, instead))
  }
}

/** A store's callback that lets `succeeded` hear of its success before the caller does; some stores call back twice. */
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
 * express-session takes this error for "no such session", and session-file-store answers so. A database whose socket
 * isn't there says the same, but has only failed to connect.
 */
function isMissing(error: unknown): boolean {
  const { code, syscall } = error as NodeJS.ErrnoException
  return code === 'ENOENT' && syscall !== 'connect'
}

/** Until when a session of express-session lasts, as far as its cookie says. */
export function expiryOf(session: unknown): number | undefined {
  const expires = (session as { cookie?: { expires?: unknown } } | undefined)?.cookie?.expires
  const time =
    expires instanceof Date || typeof expires === 'string' ? new Date(expires).getTime() : Number.NaN
  return Number.isNaN(time) ? undefined : time
}
