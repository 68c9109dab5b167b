import type { RequestContext } from './host.js'

/** Where a host keeps its sessions, whatever the host is. */
export interface HostStore {
  /**
   * Asks whether a host session is there, without prolonging it. Rejects when the store can't tell: then nothing is
   * known of the session.
   */
  find(id: string): Promise<FoundSession | undefined>
  /** Tells from now on what happens to the sessions, until the given function is called. */
  listen(listener: HostStoreListener): () => void
}

export interface FoundSession {
  /** Until when it lasts (ms since the epoch), as far as it says so itself. */
  readonly expires: number | undefined
  /** Prolongs the session by its lifetime, where the store can. */
  touch(): Promise<void>
}

/** What is heard of a store as the host uses it. What other processes do to it is not. */
export interface HostStoreListener {
  /**
   * The session was written or touched; it lasts until `expires` (ms since the epoch), if that is known.
   * @param session what was written; `undefined` when it was only touched
   */
  saved(id: string, session: object | undefined, expires: number | undefined): void
  destroyed(id: string): void
  /** All sessions are gone. */
  cleared(): void
  /**
   * A request is about to be given a new session in the place of this one. What is given back is called when that has
   * been done.
   */
  regenerating(id: string, context: RequestContext): () => void
  /** While the store is disconnected, it can't tell anything. */
  connected(isConnected: boolean): void
}
