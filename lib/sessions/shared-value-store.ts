/**
 * Where shared values are, each by the token and the id of its session and a name: in this process, or in the cluster. All
 * methods reject with `SESSION_ENDED` when that session has ended, and with `CLUSTER_UNAVAILABLE` while the cluster can't be
 * reached.
 */
export interface SharedValueStore {
  read(token: string, id: string, name: string): Promise<SharedValue | undefined>

  /**
   * Writes a value, and starts its time to live. What is identical to the present data restarts the time to live and
   * replaces nothing: the version stays, and nothing is handed out.
   * @returns what has become of it: `written: false` when `over` was given and isn't the present version
   */
  write(token: string, id: string, name: string, data: string, how: Writing): Promise<Written>

  /** Restarts the time to live. `false`: there is no value. */
  touch(token: string, id: string, name: string, timeToLive: number): Promise<boolean>

  /** Deletes a value, and gives the claim of its callback; `undefined` where there was no value. */
  delete(token: string, id: string, name: string): Promise<ValueClaim | undefined>
}

export interface Writing {
  /** Milliseconds, or `Infinity`. */
  readonly timeToLive: number
  /** Write only when this is the present version; 0: only when there is no value. */
  readonly over?: number
  /** Whether a value that is overwritten is handed out, for its callback. */
  readonly claimReplaced?: boolean
}

export interface Written {
  readonly written: boolean
  /** The value that was overwritten; to be settled when its callback has run. */
  readonly replaced?: ValueClaim | undefined
}

export interface SharedValue {
  readonly name: string
  readonly data: string
  /** Grows with each write of a session; so it tells one value of a name from the next. */
  readonly version: number
}

/** A shared value that was deleted, to be told to its callback by one node. */
export interface ValueClaim extends SharedValue {
  readonly phase: 'value'
  readonly token: string
  readonly life: string
  readonly createdAt: number
  readonly reason: 'timeToLive' | 'deleted' | 'replaced'
  /** Of a cluster: grows with each claim. */
  readonly fence: number
}
