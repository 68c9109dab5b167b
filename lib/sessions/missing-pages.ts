import type { Reason } from '../types.js'
import type { Deadlines } from '../util/scheduler.js'
import { warnOfNoPage } from '../warnings.js'
import type { Session } from './session.js'

/** Where the pages of a session reach the library's routes. */
export interface RoutePaths {
  routesOf(session: Session): string
}

/** Warns once if the pages of the app don't connect: most likely, they don't load the client script. */
export class MissingPages {
  readonly #deadlines: Deadlines
  readonly #paths: RoutePaths
  #hasWarned = false
  /** Whether a page has connected to this process. */
  #hadPage = false

  constructor(deadlines: Deadlines, paths: RoutePaths) {
    this.#deadlines = deadlines
    this.#paths = paths
  }

  pageConnected(): void {
    this.#hadPage = true
  }

  /**
   * A deadline of the session has passed. No page is expected from clients that aren't browsers. Once pages have connected, a page that
   * doesn't connect most likely belongs to a user who left at once, or whose browser runs no scripts.
   */
  deadlinePassed(session: Session): void {
    if (this.#hadPage || session.parent !== undefined) return
    const { presence } = session
    const unloads = presence.reason === 'disconnected' && presence.unloadDue <= this.#deadlines.now
    // Pages that were expected stay expected until the unload.
    if (unloads && !presence.everHadPage && presence.expected(0).length > 0)
      this.#warn(session, "A browser loaded a page that didn't connect to the server within 30 s.")
  }

  /** @param hadPage whether a page ever connected */
  sessionEnded(session: Session, reason: Reason, hadPage: boolean): void {
    if (session.parent === undefined && reason === 'disconnected' && !hadPage)
      this.#warn(session, 'A session that never had a page has ended.')
  }

  #warn(session: Session, found: string): void {
    if (this.#hasWarned) return
    this.#hasWarned = true
    // Outside of the async context of any user.
    this.#deadlines.context.run(() => warnOfNoPage(found, `${this.#paths.routesOf(session)}/client.js`))
  }
}
