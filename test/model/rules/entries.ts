import type { Model } from '../model.ts'
import { type Entry, HOOK_TIMEOUT, type Kind, Session } from '../session.ts'

/** How much longer the unload waits for a page whose socket broke. */
const RECONNECT = 1_500
/** How long a page may take to connect after its navigation was answered. */
const PAGE_LOAD = 30_000

/** How pages and requests enter sessions and leave them, and which session is evicted for a new one. */
export class Entries {
  /** The entries that the cluster has not answered yet. */
  readonly #arriving = new Set<{ readonly token: string; readonly begins: boolean }>()
  readonly #model: Model

  constructor(model: Model) {
    this.#model = model
  }

  /** Enters a session, if it exists. */
  find(token: string, kind: Kind, arrived: (entry: Entry | undefined) => void): void {
    const isThere = this.#model.sessions.has(token)
    this.#answered(token, false, () => {
      const session = this.#model.sessions.get(token)
      // The session that was found has ended since. There may be a newer one.
      if (session === undefined && isThere) this.find(token, kind, arrived)
      else {
        if (session !== undefined) this.return(session)
        arrived(session && this.enter(session, kind))
      }
    })
  }

  /**
   * Enters a session. Starts one if there is none.
   * @param name the name of the new session
   */
  come(
    token: string,
    kind: Kind,
    name: string,
    arrived: (entry: Entry) => void,
    refused: (code: string) => void,
    page?: string,
  ): void {
    if (this.#model.isClosing) {
      refused('CLOSED')
      return
    }
    const isThere = this.#model.sessions.has(token)
    if (!isThere && !this.#makeRoom(token)) {
      refused('TOO_MANY_SESSIONS')
      return
    }
    this.#answered(token, !isThere, () => {
      let session = this.#model.sessions.get(token)
      // The session that was found has ended since.
      if (session === undefined && isThere) return this.come(token, kind, name, arrived, refused, page)
      if (session === undefined) {
        session = new Session(name, token)
        this.#model.sessions.set(token, session)
        this.#model.lifecycle.runLoad(session)
      } else {
        this.return(session)
      }
      arrived(this.enter(session, kind, page))
    })
  }

  /** Runs `run` when the cluster has answered; at once without a cluster. */
  #answered(token: string, begins: boolean, run: () => void): void {
    if (!this.#model.settings.isAsync) {
      run()
      return
    }
    const arrival = { token, begins }
    this.#arriving.add(arrival)
    this.#model.time.soon(() => {
      this.#arriving.delete(arrival)
      run()
    })
  }

  #makeRoom(token: string): boolean {
    const { maxSessions } = this.#model.settings
    const arriving = [...this.#arriving]
    const tokens = new Set(this.#model.sessions.keys())
    for (const { token, begins } of arriving) if (begins) tokens.add(token)
    if (tokens.has(token) || tokens.size < maxSessions) return true
    const [oldest] = [...this.#model.sessions.values()]
      .filter(session => session.isEvictable && !arriving.some(({ token }) => token === session.token))
      .sort((one, other) => one.rank - other.rank || one.evictionSerial - other.evictionSerial)
    if (oldest === undefined || this.#model.ending.size >= maxSessions) return false
    this.#model.lifecycle.end(oldest, 'evicted')
    return true
  }

  /**
   * Called for everything after the first request of a session, except a goodbye to a closed one. The session is now the last of its
   * rank to be evicted.
   */
  return(session: Session): void {
    if (session.returned) return
    session.returned = true
    session.evictionSerial = this.#model.time.order()
  }

  enter(session: Session, kind: Kind, page?: string): Entry {
    // A page that reconnects after losing its socket isn't the page of a navigation.
    const isReconnect = page !== undefined && session.pages.get(page)?.gone === false
    if (kind === 'page' && !session.holds('page')) session.pageTimeUntil = this.#model.time.now
    const entry: Entry = { session, kind, left: false, waiting: undefined }
    session.entries.add(entry)
    if (kind === 'page') {
      session.hadPage = true
      session.evictionSerial = this.#model.time.order()
      session.expectedPages = session.expectedPages.filter(until => until > this.#model.time.now)
      if (isReconnect) {
        // It isn't an expected page.
      } else if (session.expectedPages.length > 0) session.expectedPages.shift()
      else if (session.earlyPages < [...session.entries].filter(entry => entry.kind === 'navigation').length)
        session.earlyPages++
    } else {
      session.unloadAt = Math.max(session.unloadAt, this.#model.time.now + this.#model.settings.unloadDelay)
    }
    if (session.phase === 'unloading') {
      entry.waiting = []
      session.waiting.push(entry)
      this.#model.time.later(HOOK_TIMEOUT, () => this.ready(entry))
    } else if (session.phase === 'unloaded') {
      this.#model.lifecycle.reload(session)
    }
    return entry
  }

  leave(entry: Entry, { abrupt = false, html = false, seenAt = this.#model.time.now }): void {
    const { session, kind } = entry
    if (entry.left) return
    entry.left = true
    session.entries.delete(entry)
    if (session.over) return
    if (!session.open) session.evictionSerial = this.#model.time.order()
    if (kind === 'page' && seenAt > session.pageTimeUntil) {
      session.pageTime += seenAt - session.pageTimeUntil
      session.pageTimeUntil = seenAt
    }
    session.endAt = this.#model.time.now + this.#model.settings.gracePeriod
    if (kind === 'page' || !session.hadPage) {
      const delay = this.#model.settings.unloadDelay + (abrupt ? RECONNECT : 0)
      session.unloadAt = Math.max(session.unloadAt, this.#model.time.now + delay)
    }
    if (kind !== 'navigation') return
    if (session.earlyPages > 0) session.earlyPages--
    else if (html) session.expectedPages.push(this.#model.time.now + PAGE_LOAD)
  }

  whenReady(entry: Entry | undefined, run: () => void): void {
    if (entry?.waiting === undefined) run()
    else entry.waiting.push(run)
  }

  ready(entry: Entry): void {
    const waiting = entry.waiting ?? []
    entry.waiting = undefined
    for (const run of waiting) run()
  }
}
