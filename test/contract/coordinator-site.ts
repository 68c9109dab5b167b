import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { v4 as uuid } from 'uuid'
import type {
  Admission,
  Claim,
  Coordinator,
  CoordinatorEvents,
  Proposal,
  Reported,
  SessionClaim,
  Share,
} from '../../lib/sessions/coordinator.ts'
import type { EntryInit } from '../../lib/sessions/entry.ts'
import type { FakeClock } from '../../lib/testing/index.ts'
import type { Reason } from '../../lib/types.ts'

/** Several nodes that share their sessions. Created for each test. */
export interface CoordinatorPlace {
  readonly clock: FakeClock
  /** Another node, which is not connected. */
  node(): CoordinatorUnderTest
  /** Waits until no message is in flight, except those that are held back. */
  rest(): Promise<void>
}

/** The coordinator of one node, and the faults that can happen to the node. */
export interface CoordinatorUnderTest {
  readonly coordinator: Coordinator
  /** Holds back the messages from other nodes, until the returned function is called. */
  holdMessages(): () => void
  /** An outage for this node, in which answers in flight are lost, until the returned function is called. */
  cut(): () => void
  /** Kills the process. */
  kill(): void
}

/** How many seconds after a node's crash its sessions are unloaded and end. */
export const UNLOAD_DELAY = 2
export const GRACE_PERIOD = 60
export const NEVER = Number.POSITIVE_INFINITY

/** A node, and the operations of a test on it. Its sessions are named by their tokens. */
export class TestNode {
  readonly coordinator: Coordinator
  readonly under: CoordinatorUnderTest
  /** The events of the coordinator, with sessions by their tokens. */
  readonly events: string[] = []
  readonly problems: Error[] = []
  readonly clock: FakeClock
  readonly #place: CoordinatorPlace
  readonly #shares = new Map<string, Share>()
  readonly #tokens = new Map<string, string>()
  #dueAt = NEVER

  constructor(place: CoordinatorPlace) {
    this.#place = place
    this.clock = place.clock
    this.under = place.node()
    this.coordinator = this.under.coordinator
  }

  async connect(): Promise<void> {
    const { clock } = this
    const events: CoordinatorEvents = {
      due: ms => {
        this.#dueAt = Math.min(this.#dueAt, clock.now() + ms)
      },
      loaded: (id, load, hadPage, runHooks) => {
        this.#change(id, { load, hadPage, phase: 'loaded' })
        this.#note(id, `loaded ${load}${hadPage ? ' page' : ''}${runHooks ? ' hooks' : ''}`)
      },
      runLoadHooks: (id, load) => this.#note(id, `hooks of ${load}`),
      unloaded: (id, load, reason) => {
        this.#change(id, { phase: 'unloaded' })
        this.#note(id, `unloaded ${load} ${reason}`)
      },
      ended: (id, reason) => {
        this.#note(id, `ended ${reason}`)
        this.#shares.delete(this.#tokens.get(id) ?? '')
      },
      expired: (id, endIn) => this.#note(id, `expired ${endIn}`),
      pageConnected: (id, isExpectedHere) => this.#note(id, `page${isExpectedHere ? ' expected' : ''}`),
      pageMoved: (id, page) => this.#note(id, `moved ${page}`),
      goodbye: (id, page, epoch, hint) => this.#note(id, `goodbye ${page} ${epoch} ${hint}`),
      problem: error => this.problems.push(error),
    }
    await this.coordinator.connect(
      {
        clock,
        unloadDelay: UNLOAD_DELAY * 1000,
        gracePeriod: GRACE_PERIOD * 1000,
        shares: () => this.#shares.values(),
        options: () => ({}),
      },
      events,
    )
  }

  /** One more node in the same place, connected. The test closes it. */
  async another(): Promise<TestNode> {
    const node = new TestNode(this.#place)
    await node.connect()
    await this.#place.rest()
    return node
  }

  /** Whether this node keeps anything of the session of that token. */
  has(token: string): boolean {
    return this.#shares.has(token)
  }

  /** What this node keeps of the session of that token. */
  share(token: string): Share {
    const share = this.#shares.get(token)
    assert.ok(share, `a share of ${token}`)
    return share
  }

  /** The events since the last call. */
  async received(): Promise<string[]> {
    await this.#place.rest()
    return this.events.splice(0)
  }

  /** Starts a session without waiting: the answer arrives later. */
  begin(token: string, id: string = uuid()): { id: string; answer: Promise<Admission> } {
    const createdAt = this.#place.clock.wall()
    this.#keep({ token, id, createdAt })
    const answer = this.coordinator.enter(this.#proposal(token), { kind: 'request' }, true)
    return { id, answer }
  }

  async enter(token: string, visitor: EntryInit = { kind: 'request' }): Promise<Admission> {
    const admission = await this.coordinator.enter(this.#proposal(token), visitor, true)
    return this.#admit(token, visitor, admission)
  }

  /** Enters only if there is a session. */
  async find(token: string): Promise<Admission | undefined> {
    const visitor: EntryInit = { kind: 'request' }
    const admission = await this.coordinator.enter(this.#proposal(token), visitor, false)
    return admission && this.#admit(token, visitor, admission)
  }

  page(token: string, page: string): Promise<Admission> {
    return this.enter(token, { kind: 'page', page })
  }

  /** Reports a change of this node's share. */
  report(token: string, change: Partial<Share> = {}, leftPage?: string): Promise<Reported> {
    this.#shares.set(token, { ...this.share(token), ...change })
    return this.coordinator.report(this.share(token), leftPage)
  }

  /** Stops keeping the session loaded. @param endIn seconds until it stops keeping the state */
  async unload(token: string, endIn = GRACE_PERIOD): Promise<SessionClaim | undefined> {
    return (await this.report(token, { keepsLoaded: false, endIn: endIn * 1000 })).claim
  }

  /** Stops keeping the session. */
  async leave(token: string): Promise<SessionClaim | undefined> {
    return (await this.report(token, { keepsLoaded: false, keepsState: false, endIn: 0 })).claim
  }

  async end(token: string, reason: Reason = 'ended'): Promise<SessionClaim | undefined> {
    const share = this.share(token)
    this.#shares.delete(token)
    return this.coordinator.end(share, reason)
  }

  expire(token: string, endIn: number): Promise<void> {
    return this.coordinator.expire(this.share(token), endIn * 1000)
  }

  /** The claims that the coordinator grants, as long as it says that something is due. */
  async work(): Promise<Claim[]> {
    return (await this.portions(100)).flatMap(({ claims }) => claims)
  }

  /** Like {@link work}, at most this many claims at a time. */
  async portions(limit: number): Promise<{ readonly node: TestNode; readonly claims: Claim[] }[]> {
    await this.#place.rest()
    const portions: { node: TestNode; claims: Claim[] }[] = []
    for (let calls = 0; this.#dueAt <= this.#place.clock.now(); calls++) {
      assert.ok(calls < 1_000, 'what is said to be due must be handed out')
      this.#dueAt = NEVER
      portions.push({ node: this, claims: await this.coordinator.claim(limit) })
      await this.#place.rest()
    }
    return portions
  }

  #proposal(token: string): Proposal {
    const share = this.#shares.get(token)
    if (share === undefined) {
      const createdAt = this.#place.clock.wall()
      return { token, id: uuid(), createdAt, isBegun: false, expected: [], navigations: 0 }
    }
    const { id, createdAt, expected, navigations } = share
    return { token, id, createdAt, isBegun: true, expected, navigations }
  }

  #admit(token: string, { page }: EntryInit, admission: Admission): Admission {
    const { id, createdAt, load, hadPage, phase } = admission
    const before = this.#shares.get(token)
    const pages = new Set(before?.id === id ? before.pages : [])
    if (page !== undefined) pages.add(page)
    this.#keep({
      ...{ token, id, createdAt, load, hadPage, pages: [...pages] },
      phase: phase === 'unloading' || phase === 'unloaded' ? phase : 'loaded',
    })
    return admission
  }

  #keep(what: Partial<Share> & Pick<Share, 'token' | 'id' | 'createdAt'>): void {
    this.#tokens.set(what.id, what.token)
    this.#shares.set(what.token, { ...FIRST, ...what })
  }

  #change(id: string, change: Partial<Share>): void {
    const share = this.#shares.get(this.#tokens.get(id) ?? '')
    if (share?.id === id) this.#shares.set(share.token, { ...share, ...change })
  }

  #note(id: string, what: string): void {
    this.events.push(`${this.#tokens.get(id)} ${what}`)
  }
}

/** Connects this many nodes. They are closed when the test is over. */
export async function connected(t: TestContext, place: CoordinatorPlace, count: number): Promise<TestNode[]> {
  const nodes: TestNode[] = []
  for (let number = 0; number < count; number++) {
    const node = new TestNode(place)
    await node.connect()
    t.after(() => node.coordinator.close())
    nodes.push(node)
  }
  await place.rest()
  await turn()
  return nodes
}

/** Each node completes its claim, if it has one. */
export async function complete(nodes: TestNode[], claims: (Claim | undefined)[]): Promise<void> {
  for (const [index, claim] of claims.entries())
    if (claim !== undefined) assert.equal(await nodes[index]?.coordinator.complete(claim), true)
}

/** The claims of all nodes. */
export async function workOf(...nodes: TestNode[]): Promise<Given[]> {
  const given: Given[] = []
  for (const node of nodes) for (const claim of await node.work()) given.push({ node, claim })
  return given
}

export interface Given {
  readonly node: TestNode
  readonly claim: Claim
}

export async function completeAll(given: Given[]): Promise<void> {
  for (const { node, claim } of given) assert.equal(await node.coordinator.complete(claim), true)
}

export const phases = (claims: Claim[]) => claims.map(({ phase }) => phase)

const FIRST: Omit<Share, 'token' | 'id' | 'createdAt'> = {
  phase: 'loaded',
  load: 1,
  keepsLoaded: true,
  keepsState: true,
  endIn: NEVER,
  expected: [],
  navigations: 0,
  pages: [],
  hadPage: false,
  everHadPage: false,
  hasValues: false,
  reason: 'disconnected',
}
