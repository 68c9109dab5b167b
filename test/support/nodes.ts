import { randomBytes } from 'node:crypto'
import type { TestContext } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import express, { type Express } from 'express'
import {
  type Claim,
  type Engine,
  type GradioState,
  type GradioStateOptions,
  gradioState,
  type Holder,
  type Life,
} from '../../lib/index.ts'
import type { EngineEvents } from '../../lib/sessions/engine.ts'
import { memory } from '../../lib/sessions/memory-engine.ts'
import { type FakeClock, fakeClock, type Visitor } from '../../lib/testing/index.ts'
import type { EngineSetting } from './engines.ts'
import { type Served, serve } from './express.ts'

// Several processes behind a balancer without sticky sessions, in one process: each is a server of its own, with an
// instance of its own, and their engines are views on one.

export interface Node extends Served {
  readonly gradio: GradioState
  readonly engine: Engine
  /** What was reported. */
  readonly errors: unknown[]
  /** Holds back what the engine answers and tells to this node, until the given function is called. */
  hold(): () => void
}

/** What the nodes share, where it is not the engine in memory: as a setting of engines.ts. */
type Shared = Pick<EngineSetting, 'place' | 'beside'>

export interface Nodes extends Array<Node> {
  readonly clock: FakeClock
}

/** A user whose requests come to whichever node. */
export interface Wanderer {
  at(node: Node): Visitor
}

export interface NodesOptions {
  readonly options?: GradioStateOptions
  /** A shared engine, whose answers can't be held back. @default views on the one in memory */
  readonly setting?: Shared
  /** What is mounted on each node, before the library and after. */
  before?(app: Express, node: number): void
  routes?(app: Express, gradio: GradioState): void
}

export async function nodes(t: TestContext, count: number, setUp: NodesOptions = {}): Promise<Nodes> {
  const { setting } = setUp
  const clock = setting?.place().clock ?? fakeClock()
  const hub = setting === undefined ? new Hub(clock) : undefined
  const all: Node[] = []
  for (let number = 0; number < count; number++) {
    const view = hub?.node()
    const engine = view ?? (setting?.beside(clock).engine as Engine)
    const gradio = gradioState({ clock, engine, ...setUp.options })
    const errors: unknown[] = []
    gradio.on('error', error => errors.push(error))
    const app = express()
    app.set('env', 'test')
    setUp.before?.(app, number)
    app.use(gradio)
    setUp.routes?.(app, gradio)
    const served = await serve(t, app)
    gradio.attach(served.server)
    t.after(async () => {
      const closed = gradio.close({ timeout: 0 })
      await clock.advance(1)
      await closed
    })
    all.push({ ...served, gradio, engine, errors, hold: () => held(view) })
  }
  // A shared engine has to find the others first.
  await clock.advance(0)
  return Object.assign(all, { clock })
}

function held(view: View | undefined): () => void {
  if (view === undefined) throw new Error('Expected views on the engine in memory')
  return view.hold()
}

/** A new user, without cookies. */
export function wanderer(): Wanderer {
  const cookies = new Map<string, string>()
  return {
    at(node) {
      const visitor = node.visitor()
      // The cookies belong to the user, wherever they were set.
      for (const [name, value] of cookies) visitor.cookies.set(name, value)
      visitor.cookies.set = (name, value) => {
        cookies.set(name, value)
        return Map.prototype.set.call(visitor.cookies, name, value)
      }
      return visitor
    },
  }
}

/** What all nodes share. */
class Hub {
  readonly secret = randomBytes(32)
  readonly engine: Engine
  readonly views: View[] = []
  /** Which node holds a page, by which of its holders. */
  readonly pages = new Map<string, { view: View; holder: Holder; token: string }>()

  constructor(clock: FakeClock) {
    this.engine = memory(clock)
    const wake = () => {
      for (const { events } of this.views) events?.wake()
    }
    void this.engine.start({ wake } as EngineEvents, {} as never)
  }

  node(): View {
    const view = new View(this)
    this.views.push(view)
    return view
  }
}

/** The engine of one node. */
class View implements Engine {
  readonly isShared = true
  events: EngineEvents | undefined
  readonly #hub: Hub
  readonly #held = new Map<Holder, string>()
  #queue: (() => void)[] | undefined

  constructor(hub: Hub) {
    this.#hub = hub
  }

  get secret() {
    return this.#hub.secret
  }

  get values() {
    return this.#hub.engine.values
  }

  hold(): () => void {
    this.#queue ??= []
    return () => {
      const queue = this.#queue ?? []
      this.#queue = undefined
      for (const tell of queue) tell()
    }
  }

  start(events: EngineEvents): void {
    this.events = events
  }

  open(token: string, holder: Holder, arrival: Parameters<Engine['open']>[2]) {
    const open = (): Life | undefined => {
      const life = this.#hub.engine.open(token, holder, arrival) as Life | undefined
      if (life === undefined) return undefined
      this.#held.set(holder, token)
      if (holder.kind === 'page') this.#take(token, life, holder)
      const others = [...this.#hub.pages.values()].filter(page => page.token === token && page.view !== this)
      return { ...life, pagesElsewhere: others.length }
    }
    return arrival.atOnce ? open() : this.#answer(open)
  }

  release(token: string, holder: Holder, departure: Parameters<Engine['release']>[2]): void {
    if (!this.#held.delete(holder)) return
    const key = `${token} ${holder.id}`
    if (this.#hub.pages.get(key)?.holder === holder) this.#hub.pages.delete(key)
    void this.#hub.engine.release(token, holder, departure)
  }

  async end(token: string, life: string, reason: Claim['reason']) {
    const claim = (await this.#hub.engine.end(token, life, reason)) as Claim | undefined
    if (claim !== undefined) this.#ended(claim)
    return claim
  }

  async expire(token: string, life: string, endIn: number) {
    await this.#hub.engine.expire(token, life, endIn)
    this.#tellOthers(({ expired }) => expired(life))
  }

  nextDue() {
    return this.events && this.#hub.engine.nextDue()
  }

  async claim(limit: number) {
    const claims = (await this.#hub.engine.claim(limit)) as Claim[]
    for (const claim of claims) {
      if (claim.phase === 'end') this.#ended(claim)
      else this.#tellOthers(({ unloaded }) => unloaded(claim.life, claim.reason))
    }
    return claims
  }

  renew(claim: Claim) {
    return claim.phase === 'end' || this.#hub.engine.renew(claim)
  }

  settle(claim: Claim) {
    return this.#hub.engine.settle(claim)
  }

  goodbye(token: string, page: string, epoch: number | undefined) {
    return this.#answer(() => {
      const holding = this.#hub.pages.get(`${token} ${page}`)
      const life = holding && (this.#hub.engine.open(token, holding.holder, HERE) as Life | undefined)
      if (holding === undefined || life === undefined) return false
      holding.view.#tell(({ goodbye }) => goodbye(life.id, page, epoch))
      return true
    })
  }

  close(): void {
    for (const [holder, token] of this.#held) this.release(token, holder, { unloadIn: 0, endIn: 3_600_000 })
    this.events = undefined
  }

  /** The page is held by this node from now on, by this holder. */
  #take(token: string, life: Life, holder: Holder): void {
    const key = `${token} ${holder.id}`
    const former = this.#hub.pages.get(key)
    this.#hub.pages.set(key, { view: this, holder, token })
    if (former === undefined || former.holder === holder) return
    former.view.#held.delete(former.holder)
    void this.#hub.engine.release(token, former.holder, { unloadIn: 0, endIn: 3_600_000 })
    if (former.view !== this) former.view.#tell(({ moved }) => moved(life.id, holder.id))
  }

  #ended({ token, life, reason }: Claim): void {
    for (const [key, page] of this.#hub.pages) if (page.token === token) this.#hub.pages.delete(key)
    this.#tellOthers(({ gone }) => gone(token, life, reason))
  }

  #tellOthers(tell: (events: EngineEvents) => void): void {
    for (const view of this.#hub.views) if (view !== this) view.#tell(tell)
  }

  #tell(tell: (events: EngineEvents) => void): void {
    this.#deliver(() => this.events && tell(this.events))
  }

  async #answer<T>(ask: () => T): Promise<T> {
    await turn()
    const answer = ask()
    return new Promise(resolve => this.#deliver(() => resolve(answer)))
  }

  /** What a node is told and answered comes in its order. */
  #deliver(tell: () => void): void {
    if (this.#queue === undefined) tell()
    else this.#queue.push(tell)
  }
}

const HERE = { create: false, unloadIn: 0 }
