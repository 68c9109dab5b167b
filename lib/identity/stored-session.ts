import { GradioStateError } from '../errors.js'
import type { Session } from '../sessions/session.js'
import type { ExpiryWatch, HostSessionSeen } from './expiry-watcher.js'
import { type Host, headersSent, type Marker, markedToken } from './host.js'
import type { HostStore } from './session-store.js'
import { tokenOfHostSession } from './token.js'

/** What all hosts of an instance share. */
export interface StoredHostContext {
  readonly watch: ExpiryWatch
  readonly onRegenerate: 'end' | 'keep'
}

/** A host session that is kept in a store, and has an id that only its browser knows. */
export abstract class StoredHost implements Host, HostSessionSeen {
  readonly id: string
  protected readonly context: StoredHostContext
  /** Whether the host has yet to save what {@link keep} has put into its session. */
  protected isUnsaved = false
  readonly #isOver: boolean

  /** @param arrivedAt what {@link ExpiryWatch.over} had counted when the request came */
  constructor(id: string, context: StoredHostContext, arrivedAt: number) {
    this.id = id
    this.context = context
    this.#isOver = context.watch.over.has(id, arrivedAt)
  }

  /** The host session itself, where the token is put. */
  protected abstract get marker(): Marker
  abstract get store(): HostStore | undefined
  abstract isStored(): boolean
  abstract expires(): number | undefined
  /** Whether the browser can still be told the id of a new session, or has been. */
  protected abstract canTell(): boolean
  abstract persist(): Promise<void>

  get unsaved(): Marker | undefined {
    return this.isUnsaved ? this.marker : undefined
  }

  get isMarked(): boolean {
    return this.#marked() !== undefined
  }

  get isFollowed(): boolean {
    return this.context.watch.follows(this.id)
  }

  find(): string | undefined {
    if (this.#isOver) return undefined
    return this.#marked() ?? (this.isStored() ? this.#derive() : undefined)
  }

  prepare(): string {
    if (this.#isOver) throw over()
    const known = this.find()
    if (known !== undefined) return known
    // Without the id in the cookie that was sent, each further request would get another host session.
    if (!this.canTell()) throw headersSent()
    return this.#derive()
  }

  keep(token: string): void {
    const { marker } = this
    if (markedToken(marker) === token) return
    marker.gradioState = { token }
    this.isUnsaved = true
  }

  follow(session: Session): void {
    this.context.watch.follow(session, this)
  }

  #marked(): string | undefined {
    const token = markedToken(this.marker)
    return token !== undefined && this.#isRight(token) ? token : undefined
  }

  /**
   * Whether the token in the host session is its own. Apps copy their sessions' content into new ones, as Passport does with
   * `keepSessionInfo`; only where sessions are to be kept may the token of another one lead anywhere.
   */
  #isRight(token: string): boolean {
    const { watch, onRegenerate } = this.context
    const carrier = watch.carrierOf(token)
    if (carrier !== undefined) return carrier === this.id
    return onRegenerate === 'keep' || token === this.#derive()
  }

  /** Parallel first uses of one host session agree on this, before any of them is saved. */
  #derive(): string {
    const token = tokenOfHostSession(this.id)
    const carrier = this.context.watch.carrierOf(token)
    // One that was kept over a login has taken the token of its first host session along.
    return carrier === undefined || carrier === this.id ? token : tokenOfHostSession(token)
  }
}

function over(): GradioStateError {
  return new GradioStateError(
    'SESSION_ENDED',
    'Expected the host session that this request came with, but it was destroyed or regenerated meanwhile.',
  )
}
