import type { Session } from '../sessions/session.js'
import { usable } from '../sessions/value-access.js'
import type { SessionState } from '../types.js'
import { FileAccess } from './file-access.js'
import type { InstanceContext } from './instance.js'

/** The state of a session that was looked up by its id: `gradio.session(id)`. */
export class KnownSession extends FileAccess implements SessionState {
  readonly #session: Session
  readonly #instance: InstanceContext

  constructor(instance: InstanceContext, session: Session) {
    super(instance.sessions, instance.cache)
    this.#session = session
    this.#instance = instance
  }

  /** Doesn't count as a use of the session, so that it can be logged after the end. */
  override get id(): string {
    return this.#session.id
  }

  get signal(): AbortSignal {
    return this.#session.load.signal
  }

  protected get base(): string {
    const { config, mountPaths } = this.#instance
    return config.publicPath + mountPaths.of(this.#session) + config.path
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
