import type { FileCache } from '../files/cache.js'
import type { ExpiryWatcher } from '../identity/expiry-watcher.js'
import type { PageUpgrades } from '../pages/page-upgrades.js'
import { type Duration, duration, known } from '../parse.js'
import type { CloseReport } from '../sessions/reports.js'
import type { Sessions } from '../sessions/sessions.js'
import type { Inspectors } from './inspector/inspectors.js'
import type { ReplacedInstances } from './replaced-instances.js'
import { type ClosableServer, ServerClosing } from './server-closing.js'

/** The options of `close()`. */
export interface CloseOptions {
  /**
   * The server, including one of https or HTTP/2, which is closed at the same time: it stops accepting connections, closes idle ones, waits
   * for responses, and closes the rest after `timeout`. Sockets that were upgraded for the app are left to the app.
   */
  server?: ClosableServer
  /** The promise resolves at the latest after this time. @default '25s' */
  timeout?: Duration
}

/** The parts of an instance that have to be closed. */
interface Parts {
  readonly cache: FileCache
  readonly sessions: Sessions
  readonly upgrades: PageUpgrades
  readonly watcher: ExpiryWatcher
  readonly replacedInstances: ReplacedInstances
  readonly inspectors: Inspectors
}

/** Closes an instance, once, and each server that is passed to a call of `close()`. */
export class Shutdown {
  readonly #parts: Parts
  #report: Promise<CloseReport> | undefined

  constructor(parts: Parts) {
    this.#parts = parts
  }

  async close(options: CloseOptions = {}): Promise<CloseReport> {
    known('the options of close()', options, { server: true, timeout: true })
    const { server, timeout = '25s' } = options
    const bounds = { from: 0, to: Number.POSITIVE_INFINITY, usual: HOUR }
    const limit = duration('timeout of close()', timeout, bounds)
    const { deadlines } = this.#parts.sessions
    const until = deadlines.now + limit
    const serverClosing = server === undefined ? undefined : new ServerClosing(server, deadlines)
    this.#report ??= this.#closeParts(limit)
    const report = await this.#report
    if (serverClosing === undefined || (await serverClosing.finish(until - deadlines.now))) return report
    return { timedOut: [...report.timedOut, { source: 'server' }] }
  }

  async #closeParts(limit: number): Promise<CloseReport> {
    // The timer of the deadlines doesn't keep the process alive. Without this one, it could exit while a hook hangs, and the hooks
    // after it would never run.
    const keepAlive = setInterval(() => {}, 60_000)
    try {
      return await this.#endSessions(limit)
    } finally {
      clearInterval(keepAlive)
    }
  }

  async #endSessions(limit: number): Promise<CloseReport> {
    const { cache, sessions, upgrades, watcher, replacedInstances, inspectors } = this.#parts
    const { deadlines } = sessions
    const until = deadlines.now + limit
    upgrades.close()
    replacedInstances.leave()
    watcher.close()
    const { timedOut } = await sessions.close(limit)
    inspectors.close()
    const removed = cache.close()
    const left = until - deadlines.now
    // Without time left, the files are deleted in the background while the app closes.
    const isLate = left > 0 && !(await deadlines.within(removed, left))
    deadlines.resetTimer()
    return { timedOut: isLate ? [...timedOut, { source: 'files' }] : timedOut }
  }
}

const HOUR = 3_600_000
