import { WheelNode } from '../util/timer-wheel.js'
import type { Marker } from './host.js'
import type { HostStore } from './session-store.js'
import { Outage } from './store-outage.js'

/** A host session that leads to a session here. Times in milliseconds of the monotonic clock. */
export class Track extends WheelNode {
  readonly token: string
  readonly store: WatchedStore
  /** What the host calls its session. */
  id: string
  /** Whether it was ever in its store: one that is new comes there with the end of its request. */
  isSaved = false
  isLost = false
  expires = Number.POSITIVE_INFINITY
  /** The sessions of requests in flight that have the token and are not saved yet. */
  #unsaved: Marker[] | undefined
  /** When it was last known to be there. */
  seenAt = 0
  /** When the store is asked for it. */
  askAt = Number.POSITIVE_INFINITY
  /** How often it was found to live on after it should have expired. */
  late = 0

  constructor(token: string, store: WatchedStore, id: string) {
    super()
    this.token = token
    this.store = store
    this.id = id
  }

  /** Whether the store is asked for it from time to time. */
  get isWatched(): boolean {
    return this.isSaved && !this.isLost
  }

  noteUnsaved(marker: Marker): void {
    this.#unsaved ??= []
    this.#unsaved.push(marker)
  }

  noteSaved(session: unknown): void {
    this.#unsaved = this.#unsaved?.filter(marker => marker !== session)
  }

  /**
   * The host session is over. For the token alone its host would write it to the store again, at the end of a request
   * that had it at hand.
   */
  unmark(): void {
    for (const marker of this.#unsaved ?? []) delete marker.gradioState
    this.#unsaved = undefined
  }

  /** Another host session takes its place. */
  moveTo(id: string): void {
    this.id = id
    this.isSaved = false
    this.isLost = false
    this.expires = Number.POSITIVE_INFINITY
    this.askAt = Number.POSITIVE_INFINITY
    this.late = 0
  }
}

/** A store that is listened to. */
export class WatchedStore {
  readonly store: HostStore
  readonly tracks = new Map<string, Track>()
  readonly outage: Outage
  isConnected = true
  /** Ends the listening. */
  close: () => void = () => {}

  /** @param report told of the first failure of each outage */
  constructor(store: HostStore, report: (error: unknown) => void) {
    this.store = store
    this.outage = new Outage(report)
  }

  /** When it may be asked. */
  get resumeAt(): number {
    return this.isConnected ? this.outage.resumeAt : Number.POSITIVE_INFINITY
  }
}
