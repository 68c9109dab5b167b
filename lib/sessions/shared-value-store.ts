/**
 * Stores shared values by session token, session id and name: in this process, or in the cluster. All methods reject with
 * `SESSION_ENDED` when that session has ended, and with `CLUSTER_UNAVAILABLE` while the cluster can't be reached.
 */
export interface SharedValueStore {
  read(token: string, id: string, name: string): Promise<SharedValue | undefined>

  /**
   * Writes a value and starts its time to live. Data identical to the current data restarts the time to live and replaces
   * nothing: the version stays the same, and there is no claim.
   * @returns `written: false` if `ifVersion` isn't the current version
   */
  write(token: string, id: string, name: string, data: string, options: WriteOptions): Promise<WriteResult>

  /** Restarts the time to live. `false` if there is no value. */
  touch(token: string, id: string, name: string, timeToLive: number): Promise<boolean>

  /** Deletes a value, and returns the claim for its callback; `undefined` if there was no value. */
  delete(token: string, id: string, name: string): Promise<ValueClaim | undefined>
}

export interface WriteOptions {
  /** Milliseconds, or `Infinity`. */
  readonly timeToLive: number
  /** Write only if this is the current version; 0: only if there is no value. */
  readonly ifVersion?: number
  /** Whether the overwritten value is claimed, to run its callback. */
  readonly claimReplaced?: boolean
}

export interface WriteResult {
  readonly written: boolean
  /** The value that was overwritten. Its claim has to be completed when its callback has run. */
  readonly replaced?: ValueClaim | undefined
}

export interface SharedValue {
  readonly name: string
  readonly data: string
  /** Increases with each write in a session, so it identifies a value. */
  readonly version: number
}

/** A deleted shared value, whose callback one node has to run. */
export interface ValueClaim extends SharedValue {
  readonly phase: 'value'
  readonly token: string
  readonly sessionId: string
  /** See `SessionClaim.parentId`. */
  readonly parentId?: string
  readonly createdAt: number
  readonly reason: 'timeToLive' | 'deleted' | 'replaced'
  /** In a cluster: increases with each claim. */
  readonly fence: number
}
