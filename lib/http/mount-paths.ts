import type { Session } from '../sessions/session.js'

/**
 * The path that this middleware is mounted on for each session's browser: that of the session's first request in this process. The
 * middleware may be mounted on several, and the cookie of a session may be sent below one of them only.
 */
export class MountPaths {
  readonly #paths = new WeakMap<Session, string>()

  /** @param path `''` for `app.use(gradio)` */
  note(session: Session, path: string): void {
    if (!this.#paths.has(session)) this.#paths.set(session, path)
  }

  of(session: Session): string {
    return this.#paths.get(session) ?? ''
  }
}
