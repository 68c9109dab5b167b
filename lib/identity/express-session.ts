import type { ServerResponse } from 'node:http'
import type { SessionStore } from '../options.js'
import { ExpressStore, expiryOf } from './express-store.js'
import { canSetCookie, type HostRequest, type Marker } from './host.js'
import { StoredHost, type StoredHostContext } from './stored-session.js'

/** A request that express-session has put its session on; a structural type, so that users need not install its types. */
export interface ExpressSessionRequest extends HostRequest {
  session: Marker & { save(callback: (error?: unknown) => void): unknown }
  sessionID: string
  sessionStore: SessionStore
}

export function hasExpressSession(req: HostRequest): req is ExpressSessionRequest {
  const { session, sessionID, sessionStore } = req
  if (typeof session !== 'object' || session === null || !('save' in session)) return false
  return typeof sessionID === 'string' && typeof sessionStore === 'object' && sessionStore !== null
}

/** The session of express-session. */
export class ExpressSessionHost extends StoredHost {
  readonly #req: ExpressSessionRequest
  readonly #res: ServerResponse | undefined
  readonly #store: SessionStore | undefined

  /** @param store the store that the app has named, if it has */
  constructor(
    req: ExpressSessionRequest,
    res: ServerResponse | undefined,
    context: StoredHostContext,
    arrivedAt: number,
    store: SessionStore | undefined,
  ) {
    super(req.sessionID, context, arrivedAt)
    this.#req = req
    this.#res = res
    this.#store = store
  }

  /**
   * express-session sends its cookie with the headers, and saves at the end of the answer: while a long one is being
   * written, the next request finds no such session in the store and is given another. So it is saved here.
   */
  async persist(): Promise<void> {
    if (!this.isUnsaved) return
    this.isUnsaved = false
    await new Promise<void>((resolve, reject) => {
      this.#req.session.save(error => (error ? reject(error) : resolve()))
    })
  }

  protected get marker(): Marker {
    return this.#req.session
  }

  get store(): ExpressStore {
    return ExpressStore.of(this.#store ?? this.#req.sessionStore)
  }

  isStored(): boolean {
    return cameWithCookie(this.#req)
  }

  expires(): number | undefined {
    return expiryOf(this.#req.session)
  }

  protected canTell(): boolean {
    return canSetCookie(this.#res) || this.#wasAnswered()
  }

  #wasAnswered(): boolean {
    return (
      typeof this.#res?.getHeader === 'function' &&
      String(this.#res.getHeader('set-cookie')).includes(cookieValue(this.#req))
    )
  }
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
  const { session, sessionID } = req
  // The id too: with `unset: 'destroy'` an id without a session is a session to destroy.
  Object.assign(req, { session: undefined, sessionID: undefined })
  return () => {
    Object.assign(req, { session, sessionID })
  }
}
