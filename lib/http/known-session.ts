import type { FileCache } from '../files/cache.js'
import type { Session } from '../sessions/session.js'
import type { Sessions } from '../sessions/sessions.js'
import { usable } from '../sessions/value-access.js'
import type { SessionState } from '../types.js'
import { type Base, FileAccess } from './file-access.js'

/** The state of a session that was looked up by its id: `gradio.session(id)`. */
export class KnownSession extends FileAccess implements SessionState {
  readonly #session: Session
  readonly #base: Base

  constructor(sessions: Sessions, cache: FileCache, session: Session, base: Base) {
    super(sessions, cache)
    this.#session = session
    this.#base = base
  }

  /** Doesn't count as a use of the session, so that it can be logged after the end. */
  override get id(): string {
    return this.#session.id
  }

  get signal(): AbortSignal {
    return this.#session.load.signal
  }

  protected get base(): string {
    return this.#base.path
  }

  protected use(): Session {
    return usable(this.#session)
  }

  protected async useLater(): Promise<Session> {
    return this.use()
  }

  protected known(): Session {
    return this.#session
  }
}
