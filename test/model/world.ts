import assert from 'node:assert/strict'
import type { IncomingMessage } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  type DeleteEvent,
  type GradioState,
  GradioStateError,
  gradioState,
  type HookEvent,
  type LeaveEvent,
  type RequestState,
  type SessionView,
  type State,
} from '../../lib/index.ts'
import { type FakeClock, fakeClock } from '../../lib/testing/index.ts'
import type { Place } from '../support/cluster/places.ts'
import { StubResponse, StubServer, StubSocket, stubRequest } from '../support/http/stub-http.ts'
import { TrackedSocket } from '../support/http/tracked-socket.ts'
import { isHooked } from '../support/pages/handshake.ts'
import {
  HOOK_TIMEOUT,
  LATE,
  type Modes,
  NAMES,
  type Name,
  type Settings,
  SLOW,
  type Source,
  type Use,
  VALUE_SETTINGS,
} from './session.ts'
import { Watch } from './watch.ts'

/** A value in a session, identified by its label. */
interface Thing {
  readonly label: string
}

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

export interface WorldUser {
  readonly name: string
  readonly identified: boolean
}

/** The library, used through its public interface: middleware, routes and upgrades, without a network. */
export class World {
  readonly clock: FakeClock
  readonly watch = new Watch()
  readonly gradio: GradioState
  readonly requests = new Map<string, LiveRequest>()
  /** The sockets of pages. */
  readonly sockets = new Map<string, StubSocket>()
  readonly tracked = new Map<string, TrackedSocket>()
  /** The URLs for opening sockets, with the page's id, epoch and ticket, by the label of the POST. */
  readonly tickets = new Map<string, string>()
  readonly #modes: Modes
  readonly #server = new StubServer()
  readonly #jars = new Map<string, string>()
  /** By cookie: the label of the request whose response was the first to set it. */
  readonly #labels = new Map<string, string>()
  readonly #views = new Map<string, SessionView>()
  readonly #history: State<Thing>
  readonly #model: State<Thing | undefined>
  readonly #setsByHooks = new Map<string, number>()
  closing: Promise<string[]> | undefined
  #log: string[] = []
  #initials = 0

  /** @param place the cluster that keeps the sessions. @default in memory */
  constructor(settings: Settings, modes: Modes, place?: Place) {
    this.#modes = modes
    this.clock = place?.clock ?? fakeClock()
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
    this.#history = this.gradio.state<Thing>('history', {
      ...this.#callback('history'),
      value: () => ({ label: `initial${++this.#initials}` }),
    })
    this.#model = this.gradio.state<Thing>('model', this.#callback('model'))
    for (const source of ['load', 'unload', 'ended'] as const) {
      this.gradio[source](event => this.#hook(source, event))
      this.gradio[source](event => this.#say(`${event.session.info} ${source} too`))
    }
    this.gradio.on('error', (error, { source, session, name }) => {
      const what = error instanceof GradioStateError ? error.code : (error as Error).message
      this.#say(`error ${what} ${source} ${session}${name === undefined ? '' : ` ${name}`}`)
    })
    this.gradio.attach(this.#server.asServer)
  }

  /** The events since the last call. Sessions are named after the request that started them, as in `info`. */
  takeLog(): string[] {
    const log = this.#log.map(line => this.#named(line))
    this.#log = []
    return log
  }

  /** The values of a session, as a hook would see them. */
  show(sessionName: string): string {
    const view = this.#views.get(sessionName)
    return view === undefined ? '[]' : this.#show(view)
  }

  idOf(sessionName: string): string | undefined {
    return this.#views.get(sessionName)?.id
  }

  // Requests of the app

  request(label: string, user: WorldUser, { isNavigation, isByScript }: Sender): void {
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
      this.#say(`${label} ${error ? codeOf(error) : 'passed'}`)
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
      this.#say(`${label} ${on} ${use} ${show(result)}`)
    }
    try {
      const result = this.#use(request, use, name, label)
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
      this.#say(`${label} tracked`)
    } catch (error) {
      this.#say(`${label} ${codeOf(error)}`)
    }
  }

  closeTracked(label: string): void {
    this.tracked.get(label)?.close()
    this.tracked.delete(label)
  }

  #use({ state }: LiveRequest, use: Use, name: Name, label: string): unknown {
    const thing = this.#thing(name, label)
    // The compiler doesn't know which key belongs to which name.
    const key = this.#key(name) as 'cache'
    switch (use) {
      case 'get':
        return state.get(key) ?? 'none'
      case 'set':
        return done(name === 'cache' ? state.set(key, thing, this.#callback(name)) : state.set(key, thing))
      case 'bare':
        return done(state.set(key, thing))
      case 'same':
        return state.has(key) ? done(state.set(key, state.get(key))) : 'none'
      case 'update':
        return done(state.update(key, () => thing))
      case 'touch':
        return state.touch(key)
      case 'has':
        return state.has(key)
      case 'delete':
        return state.delete(key)
      case 'id':
        return state.id
      case 'establish':
        return state.establish()
      case 'end':
        return state.end()
    }
  }

  // Pages

  openPage(label: string, user: WorldUser, page: string, n: number): void {
    const res = this.#route(label, 'POST', `heartbeat/${page}?n=${n}`, user)
    res.once('finish', () => {
      if (res.statusCode !== 200) return
      const { ticket } = JSON.parse(res.text) as { ticket: string }
      this.tickets.set(label, `/gradio_api/heartbeat/${page}?n=${n}&ticket=${ticket}`)
    })
  }

  goodbye(label: string, user: WorldUser, page: string, n: number): void {
    this.#route(label, 'POST', `pagehide/${page}?n=${n}`, user)
  }

  upgrade(label: string, ticket: string, isLate: boolean): void {
    const socket = new StubSocket(isLate, (code, reason) => {
      this.#say(`${label} notified ${code === 1012 ? 'shutdown' : reason}`)
    })
    const req = stubRequest('GET', this.tickets.get(ticket)!, {
      upgrade: 'websocket',
      'sec-websocket-version': '13',
      'sec-websocket-key': 'AAAAAAAAAAAAAAAAAAAAAA==',
    })
    const say = (status: number) => this.#say(`${label} answered ${GONE.has(status) ? 'gone' : status}`)
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
      this.gradio(req, res.asResponse, error => this.#say(`${label} went on: ${String(error)}`))
    }
  }

  #route(label: string, method: string, route: string, user: WorldUser): StubResponse {
    const res = this.#outgoing(user, label)
    let isAnswered = false
    res.on('sent', () => {
      if (!isAnswered) this.#say(`${label} answered ${GONE.has(res.statusCode) ? 'gone' : res.statusCode}`)
      isAnswered = true
    })
    res.once('finish', () => queueMicrotask(() => res.close()))
    this.gradio(this.#incoming(method, `/gradio_api/${route}`, user, label), res.asResponse, error => {
      this.#say(`${label} went on: ${String(error)}`)
    })
    return res
  }

  #incoming(method: string, url: string, user: WorldUser, label: string): IncomingMessage {
    const headers: Record<string, string> = {}
    const cookie = this.#jars.get(user.name)
    if (user.identified) headers['x-user'] = user.name
    else if (cookie !== undefined) headers.cookie = cookie
    return Object.assign(stubRequest(method, url, headers), { label })
  }

  /** The label of the request whose response set the cookie that the user's browser has. */
  cookieLabelOf({ name }: WorldUser): string | undefined {
    return this.#labels.get(this.#jars.get(name) ?? '')
  }

  /** Gives the browser the cookie that the response to that request set, or none. */
  changeCookie({ name }: WorldUser, setBy: string | undefined): void {
    this.#jars.delete(name)
    for (const [cookie, label] of this.#labels) if (label === setBy) this.#jars.set(name, cookie)
  }

  #outgoing(user: WorldUser, label: string): StubResponse {
    const res = new StubResponse()
    res.once('sent', () => {
      const cookies = [res.getHeader('set-cookie') ?? []].flat().map(line => line.split(';')[0]!)
      const cookie = cookies.find(cookie => cookie.startsWith('gradio_state='))
      if (cookie === undefined) return
      this.#jars.set(user.name, cookie)
      if (!this.#labels.has(cookie)) this.#labels.set(cookie, label)
    })
    return res
  }

  // The instance

  async endSession(label: string, sessionName: string): Promise<void> {
    const isEnded = await this.gradio.endSession(this.idOf(sessionName)!)
    this.#say(`${label} ${isEnded ? 'ended' : 'found no'} ${sessionName}`)
  }

  /** Closes the instance; `closing` resolves with the result. */
  close(timeout: number): void {
    this.closing = this.gradio.close({ timeout: `${timeout}ms` }).then(({ timedOut }) => {
      const described = timedOut.flatMap(unfinished => {
        const { source, session, ...rest } = { session: undefined, ...unfinished }
        // Disk operations take real time, which the fake clock doesn't know.
        if (source === 'files') return []
        return this.#named(`${source} ${session}${'name' in rest ? ` ${rest.name}` : ''}`)
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

  // Hooks and callbacks

  #hook(source: Exclude<Source, 'deleteCallback'>, event: HookEvent | LeaveEvent): unknown {
    const { session } = event
    const sessionName = session.info as string
    this.#views.set(sessionName, session)
    const reason = 'reason' in event ? event.reason : ''
    this.#say(`${sessionName} ${source} ${reason} ${this.#show(session)}`)
    return this.watch.during(sessionName, source, event, () => this.#behave(source, session))
  }

  #callback(name: Name) {
    const { timeToLive, deleteReplaced } = VALUE_SETTINGS[name]
    return {
      ...(timeToLive !== Number.POSITIVE_INFINITY && { timeToLive: `${timeToLive}ms` }),
      deleteReplaced,
      deleteCallback: (value: unknown, event: DeleteEvent) => {
        const { session, reason } = event
        const sessionName = session.info as string
        const { label } = value as Thing
        assert.notEqual(
          session.get(this.#key(name) as 'cache'),
          value,
          'a value is removed before its callback is called',
        )
        this.#say(`${sessionName} deletes ${name}=${label} ${reason}`)
        this.watch.released(`${sessionName} ${name}=${label}`)
        const call = SESSION_CONTINUES.has(reason) ? 'deleteCallback' : 'endCallback'
        return this.watch.during(sessionName, call, event, () =>
          this.#behave('deleteCallback', session, reason !== 'replaced', name),
        )
      },
    }
  }

  #behave(source: Source, { id, info }: SessionView, mayReenter = true, name: Name = 'model'): unknown {
    const session = this.gradio.session(id)
    const mode = this.#modes[source]
    switch (mode) {
      case 'returns':
        return undefined
      case 'resolves':
        return Promise.resolve()
      case 'throws':
        throw new Error(mode)
      case 'rejects':
        return Promise.reject(new Error(mode))
      case 'slow':
        return new Promise<void>(resolve => this.clock.setTimer(resolve, SLOW))
      case 'late':
        return new Promise((_resolve, reject) => this.clock.setTimer(() => reject(new Error(mode)), LATE))
      case 'hangs':
        return new Promise(() => {})
      case 'sets': {
        if (!mayReenter || session === undefined) return undefined
        const count = (this.#setsByHooks.get(info as string) ?? 0) + 1
        this.#setsByHooks.set(info as string, count)
        const thing = this.#thing(name, `again${count}`)
        if (name === 'cache') session.set(name, thing, this.#callback(name))
        else session.set(this.#key(name) as 'cache', thing)
        return undefined
      }
      case 'deletes':
        if (mayReenter) void session?.delete(this.#history)
        return undefined
      case 'ends':
        return this.gradio.endSession(id)
    }
  }

  #thing(name: Name, label: string): Thing {
    if (name !== 'handle') return { label }
    return Object.assign(
      { label },
      {
        [Symbol.dispose]: () => {
          this.watch.released(`handle=${label}`)
          this.#say(`disposes handle=${label}`)
        },
      },
    )
  }

  #key(name: Name): State<Thing> | State<Thing | undefined> | string {
    return name === 'history' ? this.#history : name === 'model' ? this.#model : name
  }

  #show(view: SessionView): string {
    const shown = NAMES.map(name => {
      const thing = view.get(this.#key(name) as 'cache') as Thing | undefined
      return thing && `${name}=${thing.label}`
    })
    return `[${shown.filter(text => text !== undefined).sort()}]`
  }

  #named(line: string): string {
    return line.replace(UUID, id => {
      for (const [sessionName, view] of this.#views) if (view.id === id) return sessionName
      return id
    })
  }

  #say(line: string): void {
    this.#log.push(`${this.clock.now()} ${line}`)
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

function done(_result: unknown): string {
  return 'done'
}

function show(result: unknown): string {
  if (result === undefined) return 'done'
  return typeof result === 'object' ? (result as Thing).label : String(result)
}

const UUID = /[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}/g
/** Never created, since no file is stored. */
const NO_DIRECTORY = join(tmpdir(), 'gradio-state-model', 'never-created')
/** The reasons of deletions that don't end the session. */
const SESSION_CONTINUES: ReadonlySet<string> = new Set(['timeToLive', 'deleted', 'replaced'])
/** A page that has left, and one whose session has ended: the browser treats both the same. */
const GONE = new Set([409, 410])
