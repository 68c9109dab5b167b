import type { ServerResponse } from 'node:http'
import type { SessionStore } from '../options.js'
import { ExpressStore, expiryOf } from './express-store.js'
import type { FrameworkRequest } from './request-context.js'
import { StoredSession, type StoredSessionContext } from './stored-session.js'
import { canSetCookie, type MarkedSession, type TokenCookie } from './token-storage.js'

/** A request with a session of express-session. A structural type, so that users need not install `@types/express-session`. */
export interface ExpressSessionRequest extends FrameworkRequest {
  session: MarkedSession & { save(callback: (error?: unknown) => void): unknown }
  sessionID: string
  sessionStore: SessionStore
}

export function hasExpressSession(req: FrameworkRequest): req is ExpressSessionRequest {
  const { session, sessionID, sessionStore } = req
  if (typeof session !== 'object' || session === null || !('save' in session)) return false
  return typeof sessionID === 'string' && typeof sessionStore === 'object' && sessionStore !== null
}

/** The session of express-session. */
export class ExpressSession extends StoredSession {
  readonly #req: ExpressSessionRequest
  readonly #res: ServerResponse | undefined
  readonly #store: SessionStore | undefined

  /** @param store the option `store`, if the app has set it */
  constructor(
    req: ExpressSessionRequest,
    res: ServerResponse | undefined,
    context: StoredSessionContext,
    endedSerial: number,
    store: SessionStore | undefined,
  ) {
    super(req.sessionID, context, endedSerial)
    this.#req = req
    this.#res = res
    this.#store = store
  }

  /**
   * express-session sends its cookie with the headers but saves when the response ends. During a long response, the next request
   * wouldn't find the session in the store and would get another. So it is saved here.
   */
  async persist(): Promise<void> {
    if (!this.isUnsaved) return
    this.isUnsaved = false
    await new Promise<void>((resolve, reject) => {
      this.#req.session.save(error => (error ? reject(error) : resolve()))
    })
  }

  protected get marked(): MarkedSession {
    return this.#req.session
  }

  get store(): ExpressStore {
    return ExpressStore.of(this.#store ?? this.#req.sessionStore)
  }

  isStored(): boolean {
    return cameWithCookie(this.#req)
  }

  /** Only express-session knows the name of its cookie, but signed values begin with `s:`. */
  protected get credential(): string | undefined {
    return this.#req.headers.cookie?.match(new RegExp(CREDENTIAL, 'gi'))?.join()
  }

  get cookie(): TokenCookie {
    const { cookie } = this.#req.session as { readonly cookie?: { readonly secure?: unknown } }
    return { pattern: CREDENTIAL, secure: cookie?.secure ? 'checked' : undefined }
  }

  expires(): number | undefined {
    return expiryOf(this.#req.session)
  }

  protected canReachBrowser(): boolean {
    return canSetCookie(this.#res) || this.#wasAnswered()
  }

  #wasAnswered(): boolean {
    return (
      typeof this.#res?.getHeader === 'function' &&
      String(this.#res.getHeader('set-cookie')).includes(cookieValue(this.#req))
    )
  }
}

const CREDENTIAL = /[^;\s]+=s(:|%3A)[^;]*/i

/** Whether the browser sent the session's id: then the session was loaded from the store. */
export function cameWithCookie(req: ExpressSessionRequest): boolean {
  return req.headers.cookie?.includes(cookieValue(req)) ?? false
}

/** The beginning of the cookie's value. Only express-session knows the cookie's name, but no other value has this format. */
function cookieValue(req: ExpressSessionRequest): string {
  return encodeURIComponent(`s:${req.sessionID}.`)
}

/**
 * Runs `answer`, which writes the head or the end of a response of the library, while the session is hidden from express-session:
 * so that it neither saves nor touches the session, nor (with `rolling`) sends its cookie.
 */
export function withoutFrameworkSession(req: FrameworkRequest, answer: () => void): void {
  const show = hideFrameworkSession(req)
  try {
    answer()
  } finally {
    show()
  }
}

/** Hides the session from express-session, as {@link withoutFrameworkSession} does, until the returned function is called. */
export function hideFrameworkSession(req: FrameworkRequest): () => void {
  if (!hasExpressSession(req)) return () => {}
  const { session, sessionID } = req
  // Also the id: with `unset: 'destroy'`, express-session destroys the session of an id without a session object.
  Object.assign(req, { session: undefined, sessionID: undefined })
  return () => {
    Object.assign(req, { session, sessionID })
  }
}
