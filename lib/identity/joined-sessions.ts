import type { Sessions } from '../sessions/sessions.js'
import { isOver } from '../util/response-over.js'
import type { SessionRequest } from './request-context.js'
import type { TokenStorage } from './token-storage.js'

/** A session that was started by a request with a stale credential. */
interface Beginning {
  readonly token: string
  readonly request: SessionRequest
  readonly at: number
}

/**
 * After a restart of the server, or when a store has lost its sessions, the heartbeats of pages and a request of the app may arrive with
 * the same stale credential of a framework session. The framework would start a session for each, and the browser would keep only one
 * of them. So a heartbeat joins a session that an app request or another heartbeat has just started, and an app request joins one that a
 * heartbeat has just started.
 */
export class JoinedSessions {
  readonly #sessions: Sessions
  /** The earliest first. */
  readonly #beginnings = new Map<string, Beginning>()

  constructor(sessions: Sessions) {
    this.#sessions = sessions
  }

  /** The token of the session that the request has to join. */
  tokenFor(storage: TokenStorage, request: SessionRequest): string | undefined {
    if (this.#beginnings.size === 0 || request.hasNewSession) return undefined
    const { staleCredential: credential } = storage
    if (credential === undefined) return undefined
    const joined = this.#find(keyOf(credential, request, true))
    // App requests don't join each other: both may write to their framework sessions, and the browser keeps the later one.
    return joined ?? (request.isHeartbeat ? this.#find(keyOf(credential, request, false)) : undefined)
  }

  #find(key: string): string | undefined {
    const beginning = this.#beginnings.get(key)
    if (beginning === undefined || !this.#isRecent(beginning)) return undefined
    return this.#sessions.find(beginning.token)?.token
  }

  /** Records that the request has started a session. @param credential the stale credential that the request had */
  begun(token: string, credential: string, request: SessionRequest): void {
    // After a login, the credential of the earlier session must not give access to the new one.
    if (request.hasNewSession) return
    const key = keyOf(credential, request, request.isHeartbeat)
    this.#beginnings.delete(key)
    this.#beginnings.set(key, { token, request, at: this.#now })
    for (const [other, beginning] of this.#beginnings) {
      if (this.#beginnings.size <= CAPACITY && this.#isRecent(beginning)) break
      this.#beginnings.delete(other)
    }
  }

  get #now(): number {
    return this.#sessions.deadlines.now
  }

  /** Until the response is over, the browser doesn't have the new credential. */
  #isRecent({ request, at }: Beginning): boolean {
    return this.#now - at < RECENT || !isOver(request)
  }
}

function keyOf(credential: string, { req }: SessionRequest, isHeartbeat: boolean): string {
  return JSON.stringify([isHeartbeat, credential, req.headers['user-agent']])
}

/** In milliseconds. Pages reconnect within a few seconds of a restart. */
const RECENT = 30_000
const CAPACITY = 10_000
