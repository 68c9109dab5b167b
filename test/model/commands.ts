import assert from 'node:assert/strict'
import fc from 'fast-check'
import type { Place } from '../support/cluster/places.ts'
import { Model } from './model.ts'
import {
  HOOK_TIMEOUT,
  type Mode,
  type Modes,
  NAMES,
  type Name,
  type Request,
  type Settings,
  type Source,
  type Use,
  type User,
} from './session.ts'
import { World } from './world.ts'

/** A step of a run. Numbers select one of the existing objects (modulo their count), so that a shrunk run remains valid. */
export type Action =
  | { do: 'request'; user: number; by: 'nobody' | 'script' | 'navigation' }
  | { do: 'cookie'; user: number; which: number }
  | { do: 'use'; request: number; use: Use; name: Name }
  | { do: 'end'; request: number; how: 'html' | 'json' | 'broken' }
  | { do: 'track'; request: number }
  | { do: 'closeTracked'; socket: number }
  | { do: 'openPage'; user: number; page: number; newer: number }
  | { do: 'upgrade'; ticket: number; late: boolean }
  | { do: 'disconnect'; connection: number; how: 'goodbye' | 'broken' | 'reload' }
  | { do: 'lateClose'; socket: number }
  | { do: 'reopenPage'; page: number; newer: number }
  | { do: 'goodbye'; page: number; older: number }
  | { do: 'endSession'; session: number }
  | { do: 'mode'; of: Source; mode: Mode }
  | { do: 'close'; timeout: number }
  | { do: 'wait'; ms: number }
  | { do: 'waitUntilDue'; offset: number }
  | { do: 'burst'; actions: Action[] }

/** A page in its browser. */
interface BrowserPage {
  readonly user: User
  readonly id: string
  epoch: number
}

const USERS = [
  { name: 'ann', identified: true },
  { name: 'bob', identified: true },
  { name: 'cyd', identified: false },
  { name: 'dan', identified: false },
  { name: 'eve', identified: false },
  { name: 'fay', identified: false },
]

/** Runs the model and the library side by side. */
export class Run {
  readonly model: Model
  readonly world: World
  steps = 0
  readonly #modes: Modes = { load: 'returns', unload: 'returns', ended: 'returns', deleteCallback: 'returns' }
  #labels = 0
  readonly #pages = new Map<string, BrowserPage>()
  readonly #tickets: string[] = []
  /** The cookies that each user's browser has ever had. */
  readonly #cookies = new Map<User, Set<string>>()
  readonly #settings: Settings
  readonly #isCluster: boolean
  #isClosed = false

  constructor(settings: Settings, place?: Place) {
    this.#settings = settings
    this.#isCluster = place?.cluster !== undefined
    const users: User[] = USERS.map(user => ({ ...user, token: user.identified ? user.name : undefined }))
    this.model = new Model(settings, this.#modes, users)
    this.world = new World(settings, this.#modes, place)
  }

  /** Performs an action in both, and compares the results. */
  async step(action: Action): Promise<void> {
    if (this.#isCluster && action.do === 'burst') {
      // Simultaneous actions take effect in the order of the cluster's answers, which the model doesn't know.
      for (const each of action.actions) await this.step(each)
      return
    }
    if (action.do === 'wait') await this.#pass(action.ms)
    else if (action.do === 'waitUntilDue') await this.#pass(this.#due(action.offset))
    else await this.#passUntilQuiet()
    if (!this.#do(action)) return
    this.steps += action.do === 'burst' ? action.actions.length : 1
    await this.#pass(0)
    if (!this.#isClosed) await this.#follow()
  }

  /** Open pages move to the session that their browser's cookie leads to, as the client does. */
  async #follow(): Promise<void> {
    const { model } = this
    for (const page of this.#pages.values()) {
      if (page.user.identified) continue
      const target = model.sessionOf(page.user)
      const session = model.sessionWithPage([...this.#cookiesOf(page.user)], page.id)
      if (target === undefined || session === undefined || session === target) continue
      await this.#passUntilQuiet()
      const { connection } = session.pages.get(page.id) ?? {}
      if (connection !== undefined) this.#disconnect(connection.label, 'goodbye')
      this.#openPage(`follow${++this.#labels}`, page, 1)
      await this.#pass(0)
    }
  }

  /** All users leave and the time passes, or the instance is closed. In both cases, nothing may be left. */
  async finish(how: 'leave' | 'close'): Promise<void> {
    const { model, world } = this
    const wasClosed = this.#isClosed
    await this.#passUntilQuiet()
    world.closeLateSockets()
    if (how === 'leave') {
      for (const request of [...model.requests.all]) if (!request.ended) this.#end(request, 'broken')
      for (const { label } of [...model.pages.connections]) this.#disconnect(label, 'broken')
      for (const label of [...model.requests.tracked.keys()]) this.#closeTracked(label)
      await this.#pass(1)
      // A page without a socket stays open for 95 s and its record for 120 s more, and hooks that hang take 5 s each.
      await this.#pass(this.#settings.gracePeriod + 300_000)
      world.assertNothingIsLeft()
    }
    await this.step({ do: 'close', timeout: 25_000 })
    while (Number.isFinite(model.time.timeToNext)) await this.#pass(model.time.timeToNext)
    // A time limit of a hook or of a closing socket may leave a timer that finds nothing to do. So may the pings of a socket
    // that closes after the instance.
    await this.#pass(wasClosed ? 60_000 : HOOK_TIMEOUT)
    world.assertNothingIsLeft()
    world.assertNobodyIsConnected()
  }

  #due(offset: number): number {
    const { timeToNext } = this.model.time
    return Number.isFinite(timeToNext) ? Math.max(timeToNext + offset, 0) : 1
  }

  /** Advances past the times at which something was due: if an action started at the same time, the order would be undefined. */
  async #passUntilQuiet(): Promise<void> {
    do await this.#pass(1)
    while (this.model.time.hasJustRun)
  }

  async #pass(ms: number): Promise<void> {
    this.model.time.advance(ms)
    await this.world.clock.advance(`${ms}ms`)
    for (const user of this.model.users) {
      const last = this.world.cookieLabelOf(user)
      if (last !== undefined) this.model.noteLastDelivered(user, last)
      if (user.token !== undefined) this.#cookiesOf(user).add(user.token)
    }
    this.#compare()
    if (this.model.lifecycle.timedOut !== undefined)
      assert.deepEqual(await this.world.closing, this.model.lifecycle.timedOut)
  }

  #compare(): void {
    const { model, world } = this
    assert.deepEqual(world.takeLog().sort(), model.time.takeLog().sort())
    const known = [...model.sessions.values()]
    const { sessions, open, loaded, ending, pages, ended } = world.gradio.stats()
    assert.deepEqual(
      { sessions, open, loaded, ending, pages, ended },
      {
        sessions: known.length,
        open: known.filter(session => session.open).length,
        loaded: known.filter(session => session.phase === 'loaded').length,
        ending: model.ending.size,
        pages: known.flatMap(session => [...session.entries]).filter(entry => entry.kind === 'page').length,
        ended: { ...model.ended, expired: 0, destroyed: 0, regenerated: 0 },
      },
    )
    for (const session of known)
      assert.equal(world.show(session.name), session.show(), `the values of ${session.name}`)
    for (const { label, load, ended } of model.requests.all) {
      const { signal } = world.requests.get(label)!
      if (ended || signal === undefined) continue
      assert.equal(signal.aborted, load?.over ?? false, `whether the signal of ${label} is aborted`)
    }
  }

  /** @returns `false` if there is no object to perform the action on */
  #do(action: Action): boolean {
    const { model, world } = this
    const label = `${action.do}${++this.#labels}`
    switch (action.do) {
      case 'request': {
        const user = pick(model.users, action.user)!
        const isNavigation = action.by === 'navigation'
        const isByScript = action.by === 'script'
        model.requests.begin(label, user, isNavigation ? 'navigation' : 'request', isByScript)
        world.request(label, user, { isNavigation, isByScript })
        return true
      }
      case 'cookie': {
        const user = pick(model.users, action.user)!
        if (user.identified) return false
        const cookie = pick([undefined, ...this.#cookiesOf(user)], action.which)
        model.changeCookie(user, cookie)
        world.changeCookie(user, cookie)
        return true
      }
      case 'use': {
        const request = pick(this.#ready(), action.request)
        if (request === undefined) return false
        const { name } = action
        let { use } = action
        const isFirst = request.entry === undefined
        if (this.#settings.isAsync && isFirst && !['touch', 'has', 'delete', 'end'].includes(use))
          use = 'establish'
        model.requests.use(request, use, name, label)
        world.use(request.label, use, name, label)
        return true
      }
      case 'end': {
        const request = pick(this.#ongoing(), action.request)
        if (request === undefined) return false
        this.#end(
          request,
          request.passed && world.requests.get(request.label)!.passed ? action.how : 'broken',
        )
        return true
      }
      case 'track': {
        const request = pick(this.#ready(), action.request)
        if (request === undefined || (this.#settings.isAsync && request.entry === undefined)) return false
        model.requests.track(request, label)
        world.track(request.label, label)
        return true
      }
      case 'closeTracked': {
        const tracked = pick([...model.requests.tracked.keys()], action.socket)
        if (tracked === undefined) return false
        this.#closeTracked(tracked)
        return true
      }
      case 'openPage':
        this.#openPage(label, this.#page(action.user, action.page), action.newer)
        return true
      case 'reopenPage': {
        const page = this.#knownPage(action.page)
        if (page === undefined) return false
        this.#openPage(label, page, action.newer)
        return true
      }
      case 'upgrade': {
        const tickets = this.#tickets.filter(ticket => world.tickets.has(ticket))
        const ticket = pick(tickets.slice(-8), action.ticket)
        if (ticket === undefined) return false
        model.pages.upgrade(label, ticket)
        world.upgrade(label, ticket, action.late)
        return true
      }
      case 'disconnect': {
        const connection = pick(model.pages.connections, action.connection)
        if (connection === undefined) return false
        this.#disconnect(connection.label, action.how)
        return true
      }
      case 'lateClose': {
        const socket = pick([...world.sockets.values()], action.socket)
        if (socket === undefined) return false
        socket.closeAtLast()
        return true
      }
      case 'goodbye': {
        const page = this.#knownPage(action.page)
        if (page === undefined) return false
        const epoch = Math.max(page.epoch - action.older, 0)
        model.pages.goodbye(label, page.user, page.id, epoch)
        world.goodbye(label, page.user, page.id, epoch)
        return true
      }
      case 'endSession': {
        const known = [...model.sessions.values()].filter(session => world.idOf(session.name) !== undefined)
        const session = pick(known, action.session)
        if (session === undefined) return false
        model.lifecycle.endSession(label, session)
        void world.endSession(label, session.name)
        return true
      }
      case 'mode':
        this.#modes[action.of] = action.mode
        return true
      case 'close':
        if (this.#isClosed) return false
        this.#isClosed = true
        model.lifecycle.close(action.timeout)
        world.close(action.timeout)
        return true
      case 'wait':
      case 'waitUntilDue':
        return true
      case 'burst':
        return action.actions.filter(action => this.#do(action)).length > 0
    }
  }

  #cookiesOf(user: User): Set<string> {
    const cookies = this.#cookies.get(user) ?? new Set()
    this.#cookies.set(user, cookies)
    return cookies
  }

  #ongoing(): Request[] {
    return this.model.requests.all.filter(request => !request.ended)
  }

  /** Requests whose handler is running, and a few whose handler continues after the request or its session has ended. */
  #ready(): Request[] {
    const ready = this.model.requests.all.filter(({ passed, label }) => {
      const request = this.world.requests.get(label)!
      return passed && request.passed && request.pending === 0
    })
    const isLate = ({ ended, entry }: Request) => ended !== undefined || entry?.session.over !== undefined
    return [...ready.filter(request => !isLate(request)), ...ready.filter(isLate).slice(-2)]
  }

  #openPage(label: string, page: BrowserPage, newer: number): void {
    const n = this.#epoch(page, newer)
    this.#tickets.push(label)
    this.model.pages.open(label, page.user, page.id, n)
    this.world.openPage(label, page.user, page.id, n)
  }

  #page(user: number, page: number): BrowserPage {
    const key = `${user} ${page}`
    let known = this.#pages.get(key)
    if (known === undefined) {
      known = { user: this.model.users[user]!, id: `p${page}`, epoch: 1 }
      this.#pages.set(key, known)
    }
    return known
  }

  #knownPage(index: number): BrowserPage | undefined {
    return pick([...this.#pages.values()], index)
  }

  /** The epoch that the page sends: an earlier one, the current one, or the next. */
  #epoch(page: BrowserPage, newer: number): number {
    if (newer > 0) page.epoch += newer
    return newer > 0 ? page.epoch : Math.max(page.epoch + newer, 0)
  }

  #end(request: Request, how: 'html' | 'json' | 'broken'): void {
    this.model.requests.end(request, how)
    this.world.end(request.label, how)
  }

  #closeTracked(label: string): void {
    this.model.requests.closeTracked(label)
    this.world.closeTracked(label)
  }

  #disconnect(label: string, how: 'goodbye' | 'broken' | 'reload'): void {
    const { model, world } = this
    const at = model.pages.connections.findIndex(connection => connection.label === label)
    const [connection] = model.pages.connections.splice(at, 1)
    const socket = world.sockets.get(label)!
    // A socket that the server has dropped can't send anything.
    model.pages.disconnect(connection!, how === 'goodbye')
    if (how === 'broken') socket.break()
    else socket.sayClose(how === 'goodbye' ? 1000 : 4001)
  }
}

class Command implements fc.AsyncCommand<Run, Run> {
  readonly #action: Action

  constructor(action: Action) {
    this.#action = action
  }

  check(): boolean {
    return true
  }

  async run(_model: Run, run: Run): Promise<void> {
    await run.step(this.#action)
  }

  toString(): string {
    return JSON.stringify(this.#action)
  }
}

function pick<T>(from: readonly T[], index: number): T | undefined {
  return from[index % from.length]
}

const index = fc.nat({ max: 11 })
const user = fc.nat({ max: USERS.length - 1 })
const page = fc.nat({ max: 1 })
const newer = fc.integer({ min: -1, max: 1 })

function action<T extends Action['do']>(
  name: T,
  rest: { [K in keyof Omit<Extract<Action, { do: T }>, 'do'>]: fc.Arbitrary<Extract<Action, { do: T }>[K]> },
): fc.Arbitrary<Action> {
  return fc.record({ do: fc.constant(name), ...rest }) as unknown as fc.Arbitrary<Action>
}

const use: fc.Arbitrary<Use> = fc.oneof(
  { weight: 8, arbitrary: fc.constant('set' as const) },
  { weight: 8, arbitrary: fc.constantFrom('bare', 'same', 'update', 'delete') },
  { weight: 6, arbitrary: fc.constantFrom('get', 'touch', 'has', 'id', 'establish') },
  { weight: 1, arbitrary: fc.constant('end' as const) },
)

const mode: fc.Arbitrary<Mode> = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom('returns', 'resolves') },
  { weight: 8, arbitrary: fc.constantFrom('throws', 'rejects', 'slow', 'hangs', 'late', 'sets', 'deletes') },
  { weight: 1, arbitrary: fc.constant('ends' as const) },
)

const simple = fc.oneof(
  {
    weight: 12,
    arbitrary: action('request', { user, by: fc.constantFrom('nobody', 'script', 'navigation') }),
  },
  { weight: 3, arbitrary: action('cookie', { user, which: index }) },
  { weight: 24, arbitrary: action('use', { request: index, use, name: fc.constantFrom(...NAMES) }) },
  {
    weight: 10,
    arbitrary: action('end', { request: index, how: fc.constantFrom('html', 'json', 'broken') }),
  },
  { weight: 2, arbitrary: action('track', { request: index }) },
  { weight: 2, arbitrary: action('closeTracked', { socket: index }) },
  { weight: 10, arbitrary: action('openPage', { user, page, newer }) },
  { weight: 6, arbitrary: action('reopenPage', { page: index, newer }) },
  { weight: 8, arbitrary: action('upgrade', { ticket: index, late: fc.boolean() }) },
  { weight: 2, arbitrary: action('lateClose', { socket: index }) },
  { weight: 5, arbitrary: action('goodbye', { page: index, older: newer }) },
  { weight: 2, arbitrary: action('endSession', { session: index }) },
)

const timed = fc.oneof(
  { weight: 60, arbitrary: simple },
  // Not in a burst: socket events are always asynchronous.
  {
    weight: 6,
    arbitrary: action('disconnect', {
      connection: index,
      how: fc.constantFrom('goodbye', 'broken', 'reload'),
    }),
  },
  { weight: 8, arbitrary: action('burst', { actions: fc.array(simple, { minLength: 2, maxLength: 5 }) }) },
  {
    weight: 4,
    arbitrary: action('mode', {
      of: fc.constantFrom('load', 'unload', 'ended', 'deleteCallback'),
      mode,
    }),
  },
  { weight: 6, arbitrary: action('wait', { ms: fc.nat({ max: 4_000 }) }) },
  { weight: 2, arbitrary: action('wait', { ms: fc.nat({ max: 130_000 }) }) },
  { weight: 14, arbitrary: action('waitUntilDue', { offset: fc.constantFrom(0, -1, 1) }) },
)

const commands = (maxCommands: number) =>
  fc.commands([timed.map(action => new Command(action))], { maxCommands, size: 'max' })

const settings = (isAsync: boolean): fc.Arbitrary<Settings> =>
  fc.record({
    unloadDelay: fc.constantFrom(2_000, 0, 700),
    gracePeriod: fc.constantFrom(60_017, 400_019, 1_009, 0),
    maxSessions: fc.integer({ min: 2, max: 5 }),
    isAsync: fc.constant(isAsync),
  })

const ending = fc.record({
  close: fc.constantFrom(undefined, 0, 1_500, 25_000),
  after: fc.array(simple, { maxLength: 10 }),
  how: fc.constantFrom('leave' as const, 'close' as const),
})

export interface Counter {
  steps: number
}

/**
 * The property that the library behaves like the model.
 * @param place creates the cluster for each run. In a cluster, an instance is closed only when no user is left, because it would
 * hand over its sessions to other nodes.
 */
export function agreesWithModel(maxCommands: number, counter: Counter, place?: () => Place) {
  return fc.asyncProperty(
    settings(place !== undefined),
    commands(maxCommands),
    ending,
    async (settings, commands, { close, after, how }) => {
      const created = place?.()
      const run = new Run(settings, created)
      try {
        // The first step waits until the cluster is connected.
        if (created !== undefined) await run.step({ do: 'wait', ms: 1 })
        await fc.asyncModelRun(() => ({ model: run, real: run }), commands)
        if (created !== undefined) {
          await run.finish('leave')
          return
        }
        if (close !== undefined) await run.step({ do: 'close', timeout: close })
        for (const action of after) await run.step(action)
        await run.finish(how)
      } finally {
        counter.steps += run.steps
      }
    },
  )
}
