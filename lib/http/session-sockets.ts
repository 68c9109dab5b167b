import type { Session } from '../sessions/session.js'

/**
 * The app's own sockets of one session. Each counts as a page, up to a limit, since a client can open any number of them, and each page is
 * reported to the cluster. When a socket closes, one beyond the limit takes its place.
 */
export class SessionSockets {
  static readonly #bySession = new WeakMap<Session, SessionSockets>()
  #counted = 0
  readonly #uncounted = new Set<CountedSocket>()

  static of(session: Session): SessionSockets {
    const sockets = SessionSockets.#bySession.get(session) ?? new SessionSockets()
    SessionSockets.#bySession.set(session, sockets)
    return sockets
  }

  /**
   * Adds an open socket.
   * @param enter makes a page enter the session, and returns a function that makes it leave
   * @returns a function to call once, when the socket closes
   */
  add(enter: () => () => void): () => void {
    const socket: CountedSocket = { leave: undefined }
    if (this.#counted < MAX_COUNTED) {
      socket.leave = enter()
      this.#counted++
    } else {
      this.#uncounted.add(socket)
    }
    return () => this.#close(socket)
  }

  #close(socket: CountedSocket): void {
    if (this.#uncounted.delete(socket)) return
    const [next] = this.#uncounted
    if (next === undefined) {
      this.#counted--
      socket.leave?.()
    } else {
      this.#uncounted.delete(next)
      next.leave = socket.leave
    }
  }
}

interface CountedSocket {
  /** Makes the page that represents the socket leave; `undefined` for a socket beyond the limit. */
  leave: (() => void) | undefined
}

/** As many as a session may have pages. */
const MAX_COUNTED = 100
