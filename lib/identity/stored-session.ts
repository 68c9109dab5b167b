import { GradioStateError } from '../errors.js'
import type { Session } from '../sessions/session.js'
import type { ExpiryWatcher, ObservedSession } from './expiry-watcher.js'
import type { FrameworkStore } from './session-store.js'
import { tokenOfFrameworkSession } from './token.js'
import { headersSent, type MarkedSession, type TokenStorage, tokenIn } from './token-storage.js'

/** Shared by all framework sessions of an instance. */
export interface StoredSessionContext {
  readonly watcher: ExpiryWatcher
  readonly onRegenerate: 'end' | 'keep'
}

/** A framework session that is kept in a store, under an id that only its browser knows. */
export abstract class StoredSession implements TokenStorage, ObservedSession {
  readonly id: string
  protected readonly context: StoredSessionContext
  /** Whether the framework has yet to save the token that {@link keep} has stored in its session. */
  protected isUnsaved = false
  readonly #isOver: boolean

  /** @param endedSerial {@link EndedSessions.serial} when the request arrived */
  constructor(id: string, context: StoredSessionContext, endedSerial: number) {
    this.id = id
    this.context = context
    this.#isOver = context.watcher.endedSessions.has(id, endedSerial)
  }

  /** The framework session itself, in which the token is stored. */
  protected abstract get marked(): MarkedSession
  abstract get store(): FrameworkStore | undefined
  abstract isStored(): boolean
  abstract expires(): number | undefined
  /** Whether the browser has received the session's id, or can still receive it with this response. */
  protected abstract canReachBrowser(): boolean
  /** The cookie that the browser has sent for a framework session, possibly a different one; `undefined` without one. */
  protected abstract get credential(): string | undefined
  abstract persist(): Promise<void>

  get unsaved(): MarkedSession | undefined {
    return this.isUnsaved ? this.marked : undefined
  }

  get hasToken(): boolean {
    return this.#storedToken() !== undefined
  }

  get isWatched(): boolean {
    return this.context.watcher.watches(this.id)
  }

  get staleCredential(): string | undefined {
    return this.#isOver || this.find() !== undefined ? undefined : this.credential
  }

  find(): string | undefined {
    if (this.#isOver) return undefined
    return this.#storedToken() ?? (this.isStored() ? this.#deriveToken() : undefined)
  }

  prepare(): string {
    if (this.#isOver) throw over()
    const known = this.find()
    if (known !== undefined) return known
    // The browser would never send the id, so each of its requests would get another framework session.
    if (!this.canReachBrowser()) throw headersSent()
    return this.#deriveToken()
  }

  keep(token: string): void {
    const { marked } = this
    if (tokenIn(marked) === token) return
    marked.gradioState = { token }
    this.isUnsaved = true
  }

  watchSession(session: Session): void {
    this.context.watcher.watchSession(session, this)
  }

  #storedToken(): string | undefined {
    const token = tokenIn(this.marked)
    return token !== undefined && this.#isOwnToken(token) ? token : undefined
  }

  /**
   * Whether the token in the framework session belongs to it. Apps copy the content of one session into another, as Passport does
   * with `keepSessionInfo`. The token of another session is accepted only with `onRegenerate: 'keep'`.
   */
  #isOwnToken(token: string): boolean {
    const { watcher, onRegenerate } = this.context
    const frameworkId = watcher.frameworkIdOf(token)
    if (frameworkId !== undefined) return frameworkId === this.id
    return onRegenerate === 'keep' || token === this.#deriveToken()
  }

  /** Derives the token from the session id, so that parallel first uses of a framework session get the same one before it is saved. */
  #deriveToken(): string {
    const token = tokenOfFrameworkSession(this.id)
    const frameworkId = this.context.watcher.frameworkIdOf(token)
    // A session kept across a login still has the token of its first framework session.
    return frameworkId === undefined || frameworkId === this.id ? token : tokenOfFrameworkSession(token)
  }
}

function over(): GradioStateError {
  return new GradioStateError(
    'SESSION_ENDED',
    'Expected the framework session that this request came with, but it was destroyed or regenerated in the meantime.',
  )
}
