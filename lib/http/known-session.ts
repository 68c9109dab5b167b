import { checkScopeKey } from '../sessions/scopes.js'
import type { Session } from '../sessions/session.js'
import { usable } from '../sessions/value-access.js'
import type { ScopeState, SessionState } from '../types.js'
import { FileAccess } from './file-access.js'
import type { InstanceContext } from './instance.js'
import { KnownScope, scopeOfScope } from './scope-access.js'

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

  scoped(key: string): ScopeState {
    if (this.#session.parent !== undefined) throw scopeOfScope()
    return new KnownScope(this.#instance, this.#session, checkScopeKey(key), this.base)
  }

  protected override get key(): string | undefined {
    return this.#session.key
  }

  protected get base(): string {
    return this.#instance.mountPaths.routesOf(this.#session)
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
