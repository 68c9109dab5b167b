import { setImmediate as turn } from 'node:timers/promises'
import { v4 as uuid } from 'uuid'
import { GradioStateError } from '../../../lib/errors.ts'
import type {
  Admission,
  Claim,
  Coordinator,
  CoordinatorEvents,
  NodeContext,
  PageHint,
  Proposal,
  Reported,
  SessionClaim,
  SessionRef,
  Share,
} from '../../../lib/sessions/coordinator.ts'
import type { EntryInit } from '../../../lib/sessions/entry.ts'
import { parentToken } from '../../../lib/sessions/scopes.ts'
import type { Reason } from '../../../lib/types.ts'
import { DEAD, keyOf, type MemoryCluster } from './memory-cluster.ts'
import { MemoryValues } from './memory-values.ts'

/** Messages in flight between a node and the others. */
export type Way = 'orders' | 'answers' | 'messages'

/** The coordinator of one of several nodes in this process. A test can hold back messages. */
export class MemoryCoordinator implements Coordinator {
  readonly values: MemoryValues
  context: NodeContext | undefined
  /** The claims that it has received and not completed. */
  readonly worksOn = new Set<string>()
  readonly #cluster: MemoryCluster
  readonly #held = new Map<Way, (() => void)[]>()
  #events: CoordinatorEvents | undefined
  #isAway = false
  #isDead = false
  /** The commands to send when the outage is over. */
  readonly #later: (() => unknown)[] = []
  readonly #confirmed = new Set<string>()
  /** Sessions that have started here and aren't confirmed, by their tokens. */
  readonly #begun = new Map<string, string>()
  /** The ids of sessions that are different on this node. */
  readonly #there = new Map<string, string>()
  readonly #here = new Map<string, string>()
  /** The version of the last answer about a session, and of the last `enter` of a page. */
  readonly #versions = new Map<string, number>()
  /** Sessions that were ended here, and when: calls are numbered. */
  readonly #ended = new Map<string, number>()
  /** Sessions that an entry of this node loaded after they had ended here: no node has run hooks for that load. */
  readonly #lostLoads = new Map<string, number>()
  #calls = 0

  constructor(cluster: MemoryCluster) {
    this.#cluster = cluster
    this.values = new MemoryValues(cluster, this)
  }

  get secret(): Buffer {
    return this.#cluster.secret
  }

  // Called by tests:

  /** Holds back messages until the returned function is called. */
  hold(...ways: Way[]): () => void {
    for (const way of ways) this.#held.set(way, [])
    return () => {
      for (const way of ways) {
        const queue = this.#held.get(way) ?? []
        this.#held.delete(way)
        for (const go of queue) go()
      }
    }
  }

  /** An outage for this node, until the returned function is called. Answers in flight are lost. */
  cut(): () => void {
    this.#isAway = true
    return () => {
      this.#isAway = false
      for (const share of this.context?.shares() ?? []) this.#resync(share)
      for (const ask of this.#later.splice(0)) ask()
    }
  }

  /** Kills its process, which the others detect after 15 s. */
  kill(): void {
    this.#isDead = true
    const { clock } = this.#cluster
    const diedAt = clock.now()
    clock.setTimer(() => this.#cluster.drop(this, diedAt), DEAD)
  }

  // Called by the cluster:

  /**
   * @param what of which answer the version has to be older: of the session's, or of something else
   * @param overtaken the event to emit if it is older
   */
  tell(
    id: string,
    version: number,
    emit: (events: CoordinatorEvents, here: string) => void,
    { what = id, overtaken }: { what?: string; overtaken?: typeof emit } = {},
  ): void {
    this.#send('messages', () => {
      if (this.#isDead || this.#events === undefined) return
      if (version > (this.#versions.get(what) ?? 0)) emit(this.#events, this.nameHere(id))
      else overtaken?.(this.#events, this.nameHere(id))
    })
  }

  tellEnd(id: string, reason: Reason): void {
    const forget = (events: CoordinatorEvents, here: string) => {
      this.#forget(here)
      events.ended(here, reason)
    }
    this.tell(id, Number.POSITIVE_INFINITY, forget)
  }

  due(ms: number): void {
    this.#cluster.onTheWay(turn().then(() => this.#events?.due(ms)))
  }

  nameHere(id: string): string {
    return this.#here.get(id) ?? id
  }

  nameThere(id: string): string {
    return this.#there.get(id) ?? id
  }

  /** The answer was about that version of the session. */
  note(what: string, version: number): void {
    this.#versions.set(what, Math.max(this.#versions.get(what) ?? 0, version))
  }

  // The Coordinator interface:

  async connect(context: NodeContext, events: CoordinatorEvents): Promise<void> {
    this.context = context
    this.#events = events
    this.#cluster.nodes.add(this)
    await turn()
    this.#cluster.tellDue(this)
  }

  enter(session: Proposal, visitor: EntryInit, create: true): Promise<Admission>
  enter(session: Proposal, visitor: EntryInit, create: boolean): Promise<Admission | undefined>
  async enter(session: Proposal, visitor: EntryInit, create: boolean): Promise<Admission | undefined> {
    const call = ++this.#calls
    const isKnown = this.#confirmed.has(session.id)
    if (session.isBegun && !isKnown) this.#begun.set(session.token, session.id)
    const found = await this.ask(() => this.#cluster.enter(this, session, visitor, create, isKnown))
    if (found === undefined) return undefined
    const { admission, version } = found
    // The session ended here while the answer was in flight: the entry is in the next session.
    if ((this.#ended.get(admission.id) ?? 0) > call) {
      const isScope = parentToken(session.token) !== undefined
      const isLost = admission.phase === 'returned' || (admission.phase === 'new' && isScope)
      if (isLost) this.#lostLoads.set(admission.id, admission.load)
      const begins = create && !(session.isBegun && isScope)
      return this.enter({ ...session, id: uuid(), isBegun: false }, visitor, begins)
    }
    const begun = this.#begun.get(session.token)
    if (begun !== undefined) this.#link(begun, admission.id)
    this.#begun.delete(session.token)
    this.note(admission.id, version)
    if (visitor.page !== undefined) this.note(`${admission.id} ${visitor.page}`, version)
    const id = this.nameHere(admission.id)
    this.#confirmed.add(id)
    return { ...admission, id }
  }

  async report(share: Share, leftPage?: string): Promise<Reported> {
    const found = await this.#try(() => this.#cluster.report(this, this.#named(share), leftPage))
    if (found === 'away') return { pageExpected: false }
    if (found !== undefined) return { ...found, claim: found.claim && this.#claimed(found.claim) }
    if (this.#confirmed.has(share.id)) {
      this.#forget(share.id)
      this.tellEnd(this.nameThere(share.id), 'disconnected')
    }
    return { pageExpected: false }
  }

  async expire({ token, id }: SessionRef, endIn: number): Promise<void> {
    await this.#try(() => this.#cluster.expire(this, { token, id: this.nameThere(id) }, endIn))
  }

  async end(session: Share, reason: Reason): Promise<SessionClaim | undefined> {
    const named = this.#named(session)
    this.#begun.delete(session.token)
    this.#ended.set(named.id, ++this.#calls)
    this.#forget(session.id)
    const claim = await this.#try(() => this.#cluster.end(this, named, reason))
    if (claim !== 'away') return claim && this.#claimed(claim)
    this.#later.push(() => {
      const claim = this.#cluster.end(this, named, reason)
      if (claim !== undefined) this.#cluster.handOut(claim, this)
    })
    return undefined
  }

  async claim(limit: number): Promise<Claim[]> {
    const claims = await this.#try(() => this.#cluster.claim(this, limit))
    return claims === 'away' ? [] : claims.map(claim => this.#claimed(claim))
  }

  async extend(claim: Claim): Promise<boolean> {
    return (await this.#try(() => this.#cluster.extend(this, this.#claimThere(claim)))) === true
  }

  async complete(claim: Claim): Promise<boolean> {
    const there = this.#claimThere(claim)
    const ask = () => this.#cluster.complete(this, there)
    this.worksOn.delete(keyOf(there))
    const isDone = await this.#try(ask)
    if (isDone === 'away') this.#later.push(ask)
    return isDone === true
  }

  async goodbye(token: string, page: string, epoch: number | undefined, hint: PageHint): Promise<boolean> {
    return (await this.#try(() => this.#cluster.goodbye(token, page, epoch, hint))) === true
  }

  isConfirmed({ id }: SessionRef): boolean {
    return this.#confirmed.has(id)
  }

  async close(): Promise<void> {
    this.#events = undefined
    await turn()
    this.#cluster.drop(this, this.#cluster.clock.now())
  }

  // Internals:

  /** Calls the cluster, in the order of the calls. The answer arrives in a later turn. @throws CLUSTER_UNAVAILABLE */
  ask<T>(ask: () => T): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#send('orders', () => {
        if (this.#isDead) return
        if (this.#isAway) return reject(away())
        let answer: Promise<T>
        try {
          answer = Promise.resolve(ask())
        } catch (error) {
          answer = Promise.reject(error)
        }
        // The caller sees a rejection, when the answer arrives.
        answer.catch(() => {})
        this.#send('answers', () => {
          if (this.#isAway) reject(away())
          else answer.then(resolve, reject)
        })
      })
    })
  }

  #try<T>(ask: () => T): Promise<T | 'away'> {
    return this.ask(ask).catch((): 'away' => 'away')
  }

  #send(way: Way, go: () => void): void {
    const ready = () => {
      const queue = this.#held.get(way)
      if (queue === undefined) go()
      else queue.push(go)
    }
    if (way === 'orders') ready()
    else this.#cluster.onTheWay(turn().then(ready))
  }

  #resync(share: Share): void {
    const known = this.#confirmed.has(share.id) ? this.nameThere(share.id) : undefined
    const id = this.#cluster.hold(this, share, known)
    if (id !== undefined) this.#link(share.id, id)
  }

  #link(here: string, there: string): void {
    this.#confirmed.add(here)
    if (here === there) return
    this.#there.set(here, there)
    this.#here.set(there, here)
  }

  #forget(id: string): void {
    this.#confirmed.delete(id)
  }

  #named(share: Share): Share {
    return { ...share, id: this.nameThere(share.id) }
  }

  #claimed<C extends Claim>(claim: C): C {
    this.worksOn.add(keyOf(claim))
    if (claim.phase === 'value') return { ...claim, sessionId: this.nameHere(claim.sessionId) }
    this.note(claim.id, this.#cluster.grantedAt(claim))
    const isLoaded = claim.isLoaded && claim.load !== this.#lostLoads.get(claim.id)
    return { ...claim, id: this.nameHere(claim.id), isLoaded }
  }

  #claimThere(claim: Claim): Claim {
    if (claim.phase === 'value') return { ...claim, sessionId: this.nameThere(claim.sessionId) }
    return { ...claim, id: this.nameThere(claim.id) }
  }
}

export function away(): GradioStateError {
  return new GradioStateError('CLUSTER_UNAVAILABLE', 'Expected the cluster to answer, but it is away.')
}
