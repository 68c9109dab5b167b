import type { Holder } from './engine.js'
import type { Leaving, Session } from './session.js'

let visits = 0

/** The stay of one page or one request in a session, which the engine knows as its holder. */
export class Visit implements Holder {
  readonly id: string
  readonly kind: Holder['kind']
  /** Set while the unload hooks of the session run: the visitor waits for it before it goes on. Never rejects. */
  ready: Promise<unknown> | undefined
  left = false
  #serial = 0
  #session: Session | undefined

  constructor(id: string, kind: Holder['kind']) {
    this.id = id
    this.kind = kind
  }

  /** Whose it is: told before anybody is given the visit. */
  get session(): Session {
    return this.#session as Session
  }

  /** Grows with each visit that begins. */
  get serial(): number {
    return this.#serial
  }

  /** The engine has told whose it is. */
  begin(session: Session): void {
    this.#session = session
    this.#serial = ++visits
  }

  /** Ends the stay; a second call does nothing. */
  leave(leaving: Leaving = {}): void {
    if (this.left) return
    this.left = true
    this.session.leave(this, leaving)
  }
}
