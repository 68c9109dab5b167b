import { WheelNode } from '../util/timer-wheel.js'
import type { FrameworkStore } from './session-store.js'
import { StoreOutage } from './store-outage.js'
import type { MarkedSession } from './token-storage.js'

/** A framework session that leads to a session here. Times are milliseconds on the monotonic clock. */
export class WatchedSession extends WheelNode {
  readonly token: string
  readonly store: WatchedStore
  /** The framework session's id. */
  id: string
  /** Whether it was ever saved. A new framework session is saved at the end of its request. */
  isSaved = false
  isMissing = false
  expires = Number.POSITIVE_INFINITY
  /** Session objects of requests in flight that contain the token and aren't saved yet. */
  #unsaved: MarkedSession[] | undefined
  /** When it was last known to exist. */
  seenAt = 0
  /** When the store is queried for it next. */
  checkAt = Number.POSITIVE_INFINITY
  /** How many checks have found it to exist after its deadline. */
  overdueChecks = 0

  constructor(token: string, store: WatchedStore, id: string) {
    super()
    this.token = token
    this.store = store
    this.id = id
  }

  /** Whether the store is queried for it regularly. */
  get isChecked(): boolean {
    return this.isSaved && !this.isMissing
  }

  noteUnsaved(marker: MarkedSession): void {
    this.#unsaved ??= []
    this.#unsaved.push(marker)
  }

  noteSaved(session: unknown): void {
    this.#unsaved = this.#unsaved?.filter(marker => marker !== session)
  }

  /**
   * The framework session has ended. A request in flight would save it again at its end, because the token changed its content.
   */
  removeToken(): void {
    for (const marker of this.#unsaved ?? []) delete marker.gradioState
    this.#unsaved = undefined
  }

  /** Another framework session takes its place. */
  moveTo(id: string): void {
    this.id = id
    this.isSaved = false
    this.isMissing = false
    this.expires = Number.POSITIVE_INFINITY
    this.checkAt = Number.POSITIVE_INFINITY
    this.overdueChecks = 0
  }
}

/** A store with a listener. */
export class WatchedStore {
  readonly store: FrameworkStore
  readonly sessions = new Map<string, WatchedSession>()
  readonly outage: StoreOutage
  isConnected = true
  /** Removes the listener. */
  close: () => void = () => {}

  /** @param report called with the first error of each outage */
  constructor(store: FrameworkStore, report: (error: unknown) => void) {
    this.store = store
    this.outage = new StoreOutage(report)
  }

  /** When it may be queried. */
  get resumeAt(): number {
    return this.isConnected ? this.outage.resumeAt : Number.POSITIVE_INFINITY
  }
}
