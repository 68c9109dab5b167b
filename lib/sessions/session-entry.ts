import { GradioStateError } from '../errors.js'
import { detachString } from '../util/detach-string.js'
import type { EntryInit, EntryKind, LeaveOptions, SessionEntry } from './entry.js'
import type { Session } from './session.js'

let entries = 0

/** One page or request in a session, from entering until leaving. */
export class Entry implements SessionEntry {
  readonly session: Session
  readonly kind: EntryKind
  /** The id of a page. */
  readonly page: string | undefined
  readonly isReconnect: boolean
  /** Increases with each entry. */
  readonly serial = ++entries
  /** Set while unload hooks are running, until they have run or the time limit is over. Never rejects. */
  ready: Promise<unknown> | undefined
  left = false
  isWaiting = false
  onReleased: (() => void) | undefined
  /** The entries of the same page or request in scopes of the session. They leave before this one. */
  #inScopes: Entry[] | undefined

  constructor(session: Session, { kind, page, isReconnect }: EntryInit) {
    this.session = session
    this.kind = kind
    this.page = page && detachString(page)
    this.isReconnect = isReconnect ?? (page !== undefined && session.pageList?.find(page)?.isGone === false)
  }

  /**
   * Resolves when the request or page may continue; `undefined` if it doesn't have to wait for unload hooks.
   * @throws GradioStateError `TOO_MANY_WAITING`
   */
  whenReady(): Promise<void> | undefined {
    const { ready, session } = this
    if (ready === undefined) return undefined
    if (session.waitingRequests >= MAX_WAITING) throw tooManyWaiting()
    session.waitingRequests++
    return ready.then(() => {
      session.waitingRequests--
      this.ready = undefined
    })
  }

  isIn(scope: Session): boolean {
    return this.#inScopes?.some(({ session }) => session === scope) ?? false
  }

  /** Adds the entry of the same page or request in a scope. */
  addScope(entry: Entry): void {
    this.#inScopes ??= []
    this.#inScopes.push(entry)
    if (this.left) entry.leave()
  }

  /** A second call does nothing. */
  leave(options: LeaveOptions = {}): void {
    if (this.left) return
    for (const entry of this.#inScopes ?? []) entry.leave(options)
    this.session.leave(this, options)
  }
}

/** How many requests of a session may wait for its unload hooks at the same time. */
const MAX_WAITING = 100

function tooManyWaiting(): GradioStateError {
  return new GradioStateError(
    'TOO_MANY_WAITING',
    `Expected at most ${MAX_WAITING} requests of a session to wait for its unload hooks, got one more. Try again when these have run.`,
  )
}
