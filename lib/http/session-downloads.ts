import { type IncomingMessage, ServerResponse } from 'node:http'
import type { Server, Socket } from 'node:net'
import { GradioStateError } from '../errors.js'
import type { Session } from '../sessions/session.js'
import { isOver, whenOver } from '../util/response-over.js'

/**
 * The downloads of one session. A client can request any number of files on one connection, pipelined or over HTTP/2, without reading any.
 * Each open file uses a descriptor and memory, so files are opened in turn, at most 100 at a time, and the number of waiting ones is
 * limited.
 */
export class SessionDownloads {
  static readonly #bySession = new WeakMap<Session, SessionDownloads>()
  #waiting = 0
  #open = 0
  /** Those that wait until another download is over, in the order of their arrival. */
  readonly #queue = new Set<() => void>()

  /** The downloads of a session and its scopes. */
  static of(session: Session): SessionDownloads {
    const whole = session.parent ?? session
    const downloads = SessionDownloads.#bySession.get(whole) ?? new SessionDownloads()
    SessionDownloads.#bySession.set(whole, downloads)
    return downloads
  }

  /**
   * Resolves when the file of a response can be opened, or the response is over. The download lasts as long as the response.
   * @returns whether the response can still be sent
   * @throws GradioStateError `TOO_MANY_WAITING`
   */
  async begin(req: IncomingMessage, res: ServerResponse): Promise<boolean> {
    if (this.#waiting >= MAX_WAITING) throw tooManyWaiting()
    this.#waiting++
    if (isQueued(req, res)) {
      // Node.js emits `socket` when the earlier responses of the connection are over (lib/_http_server.js, `assignSocket`).
      await untilOver(req, res, resolve => res.once('socket', resolve))
    }
    const isOpen = await this.#enter(req, res)
    this.#waiting--
    if (isOpen) whenOver({ req, res }, () => this.#leave())
    return !isOver({ req, res })
  }

  /** Resolves with `false` if the response is over before there is room. */
  async #enter(req: IncomingMessage, res: ServerResponse): Promise<boolean> {
    if (this.#open < MAX_OPEN) {
      this.#open++
      return true
    }
    let next = () => {}
    await untilOver(req, res, resolve => {
      next = resolve
      this.#queue.add(next)
    })
    return !this.#queue.delete(next)
  }

  /** Makes room for the next one, which then counts in the place of this one. */
  #leave(): void {
    const [next] = this.#queue
    if (next === undefined) {
      this.#open--
    } else {
      this.#queue.delete(next)
      next()
    }
  }
}

/** Resolves when the response is over, or when the function that `listen` receives is called. */
function untilOver(
  req: IncomingMessage,
  res: ServerResponse,
  listen: (resolve: () => void) => void,
): Promise<void> {
  return new Promise(resolve => {
    listen(resolve)
    whenOver({ req, res }, resolve)
  })
}

/** Whether Node.js will send earlier responses of the connection first. Then it has not given the response its socket yet. */
function isQueued(req: IncomingMessage, res: ServerResponse): boolean {
  if (!(res instanceof ServerResponse) || res.socket !== null || isOver({ req, res })) return false
  // Set by Node.js on each socket that a server has accepted. Others belong to stand-ins, which may never get a socket.
  return Boolean((req.socket as Socket & { server?: Server | null }).server)
}

const MAX_OPEN = 100

/** As many files as a session may have: over HTTP/2, a browser may request all at once. */
const MAX_WAITING = 1000

function tooManyWaiting(): GradioStateError {
  return new GradioStateError(
    'TOO_MANY_WAITING',
    `Expected at most ${MAX_WAITING} files of a session to wait until they can be sent, got one more. Wait for responses before sending more requests.`,
  )
}
