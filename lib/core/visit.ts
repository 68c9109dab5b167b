import type { Holder } from '../engines/engine.js'
import type { Session } from './session.js'

/** How a visitor goes. */
export interface Leaving {
  /** A socket broke, so the page may come back. */
  readonly abrupt?: boolean
  /** The answer was a page, which has yet to connect. */
  readonly awaitPage?: boolean
}

let visits = 0

/** The stay of one page or one request in a session. */
export class Visit {
  readonly session: Session
  readonly holder: Holder
  /** Set while the unload hooks of the session run: the visitor waits for it before it goes on. Never rejects. */
  ready: Promise<unknown> | undefined
  left = false
  /** Grows with each visit. */
  readonly serial = ++visits
  readonly #onLeave: (visit: Visit, leaving: Leaving) => void

  constructor(session: Session, holder: Holder, onLeave: (visit: Visit, leaving: Leaving) => void) {
    this.session = session
    this.holder = holder
    this.#onLeave = onLeave
  }

  /** Ends the stay; a second call does nothing. */
  leave(leaving: Leaving = {}): void {
    if (this.left) return
    this.left = true
    this.#onLeave(this, leaving)
  }
}
