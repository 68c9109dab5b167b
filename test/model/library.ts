import assert from 'node:assert/strict'
import type { IncomingMessage } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type GradioState, GradioStateError, gradioState, type RequestState } from '../../lib/index.ts'
import { type FakeClock, fakeClock } from '../../lib/testing/index.ts'
import type { Place } from '../support/cluster/places.ts'
import { StubResponse, StubServer, StubSocket, stubRequest } from '../support/http/stub-http.ts'
import { TrackedSocket } from '../support/http/tracked-socket.ts'
import { isHooked } from '../support/pages/handshake.ts'
import { App, type Thing } from './app.ts'
import { CookieJars } from './cookie-jars.ts'
import { EventLog } from './event-log.ts'
import { HOOK_TIMEOUT, type Modes, type Name, type Settings, type Use, type User } from './session.ts'
import { Watch } from './watch.ts'

interface LiveRequest {
  readonly state: RequestState
  readonly res: StubResponse
  passed: boolean
  /** How many operations have a promise that has not settled. */
  pending: number
  /** The request's `signal`, read as early as the app can read it. */
  signal: AbortSignal | undefined
}

interface Sender {
  readonly isNavigation: boolean
  /** Whether a script of a page sent the request. */
  readonly isByScript: boolean
}

type AppUser = Pick<User, 'name' | 'identified'>

/** The library, used through its public interface: middleware, routes and upgrades, without a network. */
export class Library {
  readonly clock: FakeClock
  readonly watch = new Watch()
  readonly gradio: GradioState
  readonly requests = new Map<string, LiveRequest>()
  /** The sockets of pages. */
  readonly sockets = new Map<string, StubSocket>()
  readonly tracked = new Map<string, TrackedSocket>()
  /** The URLs for opening sockets, with the page's id, epoch and ticket, by the label of the POST. */
  readonly tickets = new Map<string, string>()
  /** The last ticket of each page of a user's browser. */
  readonly #lastTickets = new Map<string, string>()
  readonly cookies = new CookieJars()
  readonly app: App
  readonly log: EventLog
  readonly #server = new StubServer()
  closing: Promise<string[]> | undefined

  /** @param place the cluster that keeps the sessions. @default in memory */
  constructor(settings: Settings, modes: Modes, place?: Place) {
    this.clock = place?.clock ?? fakeClock()
    this.log = new EventLog(this.clock)
    this.gradio = gradioState({
      clock: this.clock,
      cacheDir: NO_DIRECTORY,
      unloadDelay: settings.unloadDelay / 1000,
      gracePeriod: settings.gracePeriod / 1000,
      maxSessions: settings.maxSessions,
      hookTimeout: `${HOOK_TIMEOUT}ms`,
      heartbeat: 30,
      identify: req => req.headers['x-user'] as string | undefined,
      info: req => (req as { label?: string }).label,
      ...(place?.cluster && { cluster: place.cluster }),
    })
    this.app = new App(this, modes)
    this.gradio.on('error', (error, { source, session, name }) => {
      const what = error instanceof GradioStateError ? error.code : (error as Error).message
      this.log.say(`error ${what} ${source} ${session}${name === undefined ? '' : ` ${name}`}`)
    })
    this.gradio.attach(this.#server.asServer)
  }

  // Requests of the app

  request(label: string, user: AppUser, { isNavigation, isByScript }: Sender): void {
    const req = this.#incoming('GET', '/', user, label)
    if (isNavigation) req.headers['upgrade-insecure-requests'] = '1'
    if (isByScript) req.headers['sec-fetch-site'] = 'same-origin'
    const res = this.#outgoing(user, label)
    const request: LiveRequest = {
      get state() {
        return (req as IncomingMessage & { gradioState: RequestState }).gradioState
      },
      res,
      passed: false,
      pending: 0,
      signal: undefined,
    }
    this.requests.set(label, request)
    this.gradio(req, res.asResponse, error => {
      request.passed = true
      this.log.say(`${label} ${error ? codeOf(error) : 'passed'}`)
      if (error === undefined) request.signal = signalOf(request.state)
    })
  }

  end(label: string, how: 'html' | 'json' | 'broken'): void {
    const { res } = this.requests.get(label)!
    if (how !== 'broken') {
      res.setHeader('Content-Type', how === 'html' ? 'text/html; charset=utf-8' : 'application/json')
      res.end('{}')
    }
    res.close()
  }

  use(on: string, use: Use, name: Name, label: string): void {
    const request = this.requests.get(on)!
    const say = (result: unknown) => {
      this.log.say(`${label} ${on} ${use} ${show(result)}`)
    }
    try {
      const result = this.app.use(request.state, use, name, label)
      if (!(result instanceof Promise)) {
        say(result)
        return
      }
      request.pending++
      result
        .then(
          result => {
            if (use === 'establish') request.signal = signalOf(request.state)
            say(result)
          },
          error => say(codeOf(error)),
        )
        .finally(() => request.pending--)
    } catch (error) {
      say(codeOf(error))
    }
  }

  track(on: string, label: string): void {
    const { state } = this.requests.get(on)!
    const socket = new TrackedSocket()
    try {
      this.gradio.track({ gradioState: state } as unknown as IncomingMessage, socket)
      this.tracked.set(label, socket)
      this.log.say(`${label} tracked`)
    } catch (error) {
      this.log.say(`${label} ${codeOf(error)}`)
    }
  }

  closeTracked(label: string): void {
    this.tracked.get(label)?.close()
    this.tracked.delete(label)
  }

  // Pages

  openPage(label: string, user: AppUser, page: string, n: number): void {
    const key = `${user.name} ${page}`
    const last = this.#lastTickets.get(key) ?? ''
    const res = this.#route(label, 'POST', `heartbeat/${page}?n=${n}&ticket=${last}`, user)
    res.once('finish', () => {
      if (res.statusCode !== 200) return
      const { ticket } = JSON.parse(res.text) as { ticket: string }
      this.#lastTickets.set(key, ticket)
      this.tickets.set(label, `/gradio_api/heartbeat/${page}?n=${n}&ticket=${ticket}`)
    })
  }

  goodbye(label: string, user: AppUser, page: string, n: number): void {
    this.#route(label, 'POST', `pagehide/${page}?n=${n}`, user)
  }

  upgrade(label: string, ticket: string, isLate: boolean): void {
    const socket = new StubSocket(isLate, (code, reason) => {
      this.log.say(`${label} notified ${code === 1012 ? 'shutdown' : reason}`)
    })
    const req = stubRequest('GET', this.tickets.get(ticket)!, {
      upgrade: 'websocket',
      'sec-websocket-version': '13',
      'sec-websocket-key': 'AAAAAAAAAAAAAAAAAAAAAA==',
    })
    const say = (status: number) => this.log.say(`${label} answered ${GONE.has(status) ? 'gone' : status}`)
    // As Node.js does: it asks, and then emits `upgrade`, or `request`.
    if (this.#server.shouldUpgradeCallback(req)) {
      socket.once('answered', (status: number) => {
        say(status)
        if (status === 101) this.sockets.set(label, socket)
      })
      this.#server.emit('upgrade', req, socket, Buffer.alloc(0))
    } else {
      const res = new StubResponse()
      res.once('sent', () => say(res.statusCode))
      res.once('finish', () => queueMicrotask(() => res.close()))
      this.gradio(req, res.asResponse, error => this.log.say(`${label} went on: ${String(error)}`))
    }
  }

  #route(label: string, method: string, route: string, user: AppUser): StubResponse {
    const res = this.#outgoing(user, label)
    let isAnswered = false
    res.on('sent', () => {
      if (!isAnswered) this.log.say(`${label} answered ${GONE.has(res.statusCode) ? 'gone' : res.statusCode}`)
      isAnswered = true
    })
    res.once('finish', () => queueMicrotask(() => res.close()))
    this.gradio(this.#incoming(method, `/gradio_api/${route}`, user, label), res.asResponse, error => {
      this.log.say(`${label} went on: ${String(error)}`)
    })
    return res
  }

  #incoming(method: string, url: string, user: AppUser, label: string): IncomingMessage {
    const headers: Record<string, string> = {}
    const cookie = this.cookies.headerOf(user.name)
    if (user.identified) headers['x-user'] = user.name
    else if (cookie !== undefined) headers.cookie = cookie
    return Object.assign(stubRequest(method, url, headers), { label })
  }

  #outgoing({ name }: AppUser, label: string): StubResponse {
    const res = new StubResponse()
    res.once('sent', () => this.cookies.receive(name, res, label))
    return res
  }

  // The instance

  async endSession(label: string, sessionName: string): Promise<void> {
    const isEnded = await this.gradio.endSession(this.app.idOf(sessionName)!)
    this.log.say(`${label} ${isEnded ? 'ended' : 'found no'} ${sessionName}`)
  }

  /** Closes the instance; `closing` resolves with the result. */
  close(timeout: number): void {
    this.closing = this.gradio.close({ timeout: `${timeout}ms` }).then(({ timedOut }) => {
      const described = timedOut.flatMap(unfinished => {
        const { source, session, ...rest } = { session: undefined, ...unfinished }
        // Disk operations take real time, which the fake clock doesn't know.
        if (source === 'files') return []
        return this.log.withNames(`${source} ${session}${'name' in rest ? ` ${rest.name}` : ''}`)
      })
      return described.sort()
    })
  }

  closeLateSockets(): void {
    for (const socket of this.sockets.values()) socket.closeAtLast()
  }

  /** The expected state at the end of every run. */
  assertNothingIsLeft(): void {
    const { sessions, open, loaded, ending, pages } = this.gradio.stats()
    const counts = { sessions, open, loaded, ending, pages }
    assert.deepEqual(counts, { sessions: 0, open: 0, loaded: 0, ending: 0, pages: 0 })
    assert.deepEqual(this.gradio.sessions(), [])
    assert.equal(this.clock.timers, 0, 'timers are left')
    this.watch.assertAllOver()
  }

  /** The expected state of sockets and server after `close()`. */
  assertNobodyIsConnected(): void {
    for (const [label, socket] of this.sockets) assert(socket.destroyed, `socket ${label} is left open`)
    assert(!isHooked(this.#server.asServer), 'the server is hooked')
  }
}

function signalOf(state: RequestState): AbortSignal | undefined {
  try {
    return state.signal
  } catch {
    return undefined
  }
}

function codeOf(error: unknown): string {
  return error instanceof GradioStateError ? error.code : String(error)
}

function show(result: unknown): string {
  if (result === undefined) return 'done'
  return typeof result === 'object' ? (result as Thing).label : String(result)
}

/** Never created, since no file is stored. */
const NO_DIRECTORY = join(tmpdir(), 'gradio-state-model', 'never-created')
/** A page that has left, and one whose session has ended: the browser treats both the same. */
const GONE = new Set([409, 410])
