import { createHash } from 'node:crypto'
import type { ServerResponse } from 'node:http'
import type { Session } from '../core/session.js'
import { GradioStateError } from '../errors.js'
import type { SessionStore } from '../options.js'
import type { ExpiryWatch } from './expiry-watch.js'
import { ExpressStore, expiryOf } from './express-store.js'
import { canSetCookie, type Host, type HostRequest, headersSent, type Marker, markedToken } from './host.js'

/** A request that express-session has put its session on; a structural type, so that users need not install its types. */
export interface ExpressSessionRequest extends HostRequest {
  session: Marker & { save(callback: (error?: unknown) => void): unknown }
  sessionID: string
  sessionStore: object
}

export function hasExpressSession(req: HostRequest): req is ExpressSessionRequest {
  const { session, sessionID, sessionStore } = req
  const isSession = typeof session === 'object' && session !== null && 'save' in session
  return (
    isSession && typeof sessionID === 'string' && typeof sessionStore === 'object' && sessionStore !== null
  )
}

/** The session of express-session. */
export class ExpressSessionHost implements Host {
  readonly #req: ExpressSessionRequest
  readonly #res: ServerResponse
  readonly #context: ExpressSessionContext
  readonly #isOver: boolean
  #isUnsaved = false

  constructor(req: ExpressSessionRequest, res: ServerResponse, context: ExpressSessionContext) {
    this.#req = req
    this.#res = res
    this.#context = context
    this.#isOver = context.watch.over.has(req.sessionID, context.arrivedAt)
  }

  find(): string | undefined {
    if (this.#isOver) return undefined
    const marked = markedToken(this.#req.session)
    if (marked !== undefined && this.#isRight(marked)) return marked
    return cameWithCookie(this.#req) ? this.#derive() : undefined
  }

  prepare(): string {
    if (this.#isOver) throw over()
    const known = this.find()
    if (known !== undefined) return known
    // Without the id in the cookie that was sent, each further request would get another host session.
    if (!canSetCookie(this.#res) && !this.#wasAnswered()) throw headersSent()
    return this.#derive()
  }

  keep(token: string): void {
    const { session } = this.#req
    if (markedToken(session) === token) return
    session.gradioState = { token }
    this.#isUnsaved = true
  }

  /**
   * express-session sends its cookie with the headers, and saves at the end of the answer: while a long one is being
   * written, the next request finds no such session in the store and is given another. So it is saved here.
   */
  async persist(): Promise<void> {
    if (!this.#isUnsaved) return
    this.#isUnsaved = false
    await new Promise<void>((resolve, reject) => {
      this.#req.session.save(error => (error ? reject(error) : resolve()))
    })
  }

  follow(session: Session): void {
    const { session: hostSession, sessionID: id, sessionStore } = this.#req
    const { store = sessionStore as SessionStore, watch } = this.#context
    watch.follow(session, {
      id,
      store: ExpressStore.of(store),
      isStored: () => cameWithCookie(this.#req),
      expires: () => expiryOf(hostSession),
    })
  }

  /**
   * Whether the token in the host session is its own. Apps copy their sessions' content into new ones, as Passport does with
   * `keepSessionInfo`; only where sessions are to be kept may the token of another one lead anywhere.
   */
  #isRight(token: string): boolean {
    const { watch, onRegenerate } = this.#context
    const carrier = watch.carrierOf(token)
    if (carrier !== undefined) return carrier === this.#req.sessionID
    return onRegenerate === 'keep' || token === this.#derive()
  }

  /** Parallel first uses of one host session agree on this, before any of them is saved. */
  #derive(): string {
    const { sessionID } = this.#req
    const token = digest(sessionID)
    const carrier = this.#context.watch.carrierOf(token)
    // One that was kept over a login has taken the token of its first host session along.
    return carrier === undefined || carrier === sessionID ? token : digest(token)
  }

  #wasAnswered(): boolean {
    return (
      typeof this.#res.getHeader === 'function' &&
      String(this.#res.getHeader('set-cookie')).includes(cookieValue(this.#req))
    )
  }
}

/** What all hosts of an instance share, and when the request came. */
export interface ExpressSessionContext {
  readonly watch: ExpiryWatch
  readonly onRegenerate: 'end' | 'keep'
  /** The store that the app has named, if it has. */
  readonly store: SessionStore | undefined
  /** What {@link ExpiryWatch.over} had counted. */
  readonly arrivedAt: number
}

function digest(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}

function over(): GradioStateError {
  return new GradioStateError(
    'SESSION_ENDED',
    'Expected the host session that this request came with, but it was destroyed or regenerated meanwhile.',
  )
}

/** Whether the browser knows the id of the session: then the session has come from the store. */
export function cameWithCookie(req: ExpressSessionRequest): boolean {
  return req.headers.cookie?.includes(cookieValue(req)) ?? false
}

/** How the cookie's value begins. Only express-session knows the cookie's name, but no other value has this shape. */
function cookieValue(req: ExpressSessionRequest): string {
  return encodeURIComponent(`s:${req.sessionID}.`)
}

/**
 * Runs `answer`, which sends the head or the end of an answer of ours, while express-session doesn't see its session:
 * so that it neither saves, nor touches its store, nor (with `rolling`) sends its cookie.
 */
export function withoutHostSession(req: HostRequest, answer: () => void): void {
  const show = hideHostSession(req)
  try {
    answer()
  } finally {
    show()
  }
}

/** Hides the session from express-session until the given function is called, as {@link withoutHostSession} does. */
export function hideHostSession(req: HostRequest): () => void {
  if (!hasExpressSession(req)) return () => {}
  const { session, sessionID } = req as HostRequest
  // The id too: with `unset: 'destroy'` an id without a session is a session to destroy.
  Object.assign(req, { session: undefined, sessionID: undefined })
  return () => {
    Object.assign(req, { session, sessionID })
  }
}
