import type { RequestContext } from './request-context.js'

/** A framework's session store: the common interface over express-session's and koa-session's stores. */
export interface FrameworkStore {
  /** Looks a framework session up without extending it. Rejects when the store can't answer: then the state of the session is unknown. */
  find(id: string): Promise<FoundSession | undefined>
  /** Reports changes of sessions to `listener`. Returns a function that removes the listener. */
  listen(listener: FrameworkStoreListener): () => void
}

export interface FoundSession {
  /** When the session expires (ms since the epoch), or `undefined` if the store doesn't know. */
  readonly expires: number | undefined
  /** Extends the session by its lifetime, if the store supports it. */
  touch(): Promise<void>
}

/** Receives what the framework does to its store in this process. Changes by other processes aren't reported. */
export interface FrameworkStoreListener {
  /**
   * The session was written or touched.
   * @param session what was written; `undefined` when it was only touched
   * @param expires in ms since the epoch, or `undefined` if unknown
   */
  saved(id: string, session: object | undefined, expires: number | undefined): void
  destroyed(id: string): void
  /** All sessions were deleted. */
  cleared(): void
  /** A request is about to replace this session with a new one. The returned function is called when it has. */
  regenerating(id: string, context: RequestContext): () => void
  /** A disconnected store isn't queried. */
  connected(isConnected: boolean): void
}
