import type { Session } from '../sessions/session.js'

/**
 * The path that this middleware is mounted on for each session's browser: that of the session's first request in this process. The
 * middleware may be mounted on several, and the cookie of a session may be sent below one of them only.
 */
export class MountPaths {
  readonly #config: { readonly path: string; readonly publicPath: string }
  readonly #paths = new WeakMap<Session, string>()

  constructor(config: { readonly path: string; readonly publicPath: string }) {
    this.#config = config
  }

  /** @param path `''` for `app.use(gradio)` */
  note(session: Session, path: string): void {
    if (!this.#paths.has(session)) this.#paths.set(session, path)
  }

  /** The path of the library's routes, as the browser of a session or scope sees it. */
  routesOf(session: Session): string {
    const { path, publicPath } = this.#config
    return publicPath + (this.#paths.get(session.parent ?? session) ?? '') + path
  }
}
