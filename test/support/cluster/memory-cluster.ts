import { randomBytes } from 'node:crypto'
import { setImmediate as turn } from 'node:timers/promises'
import { v4 as uuid } from 'uuid'
import type {
  Admission,
  Claim,
  PageHint,
  Proposal,
  Reported,
  SessionClaim,
  SessionRef,
  Share,
} from '../../../lib/sessions/coordinator.ts'
import type { EntryInit } from '../../../lib/sessions/entry.ts'
import { parentToken } from '../../../lib/sessions/scopes.ts'
import type { ValueClaim } from '../../../lib/sessions/shared-value-store.ts'
import type { FakeClock } from '../../../lib/testing/index.ts'
import type { Reason } from '../../../lib/types.ts'
import type { MemoryCoordinator } from './memory-coordinator.ts'
import { SharedSession } from './memory-session.ts'

export type { SharedSession } from './memory-session.ts'

/** After how many milliseconds without a heartbeat a node is dead, and a claim is granted again. */
export const DEAD = 15_000

/** A claim that isn't completed: it belongs to that node until then. */
interface Work {
  claim: Claim
  node: MemoryCoordinator | undefined
  until: number
}

/** The shared state of the nodes: which node keeps which session, and due work. */
export class MemoryCluster {
  readonly clock: FakeClock
  readonly secret = randomBytes(32)
  readonly nodes = new Set<MemoryCoordinator>()
  readonly sessions = new Map<string, SharedSession>()
  readonly #work = new Map<string, Work>()
  readonly #grantedAt = new WeakMap<Claim, number>()
  readonly #onTheWay = new Set<Promise<unknown>>()

  constructor(clock: FakeClock) {
    this.clock = clock
  }

  /** An answer or a message, which settles when it has arrived. */
  onTheWay(coming: Promise<unknown>): void {
    this.#onTheWay.add(coming)
    void coming.then(() => this.#onTheWay.delete(coming))
  }

  /** Waits until no message is in flight, except those that are held back. */
  async rest(): Promise<void> {
    await turn()
    while (this.#onTheWay.size > 0) {
      await Promise.all(this.#onTheWay)
      await turn()
    }
  }

  find({ token, id }: SessionRef): SharedSession | undefined {
    const session = this.sessions.get(token)
    return session?.id === id ? session : undefined
  }

  /** @param isKnown whether the proposed id was confirmed before: a session that has ended never starts again */
  enter(
    node: MemoryCoordinator,
    proposal: Proposal,
    { kind, page = '' }: EntryInit,
    create: boolean,
    isKnown: boolean,
  ): { admission: Admission; version: number } | undefined {
    let session = this.sessions.get(proposal.token)
    const above = this.#phaseAbove(proposal.token)
    let phase: Admission['phase'] = session?.phase === 'unloading' ? 'unloading' : 'loaded'
    if (session === undefined) {
      if (!create) return undefined
      session = new SharedSession(isKnown ? { ...proposal, id: uuid() } : proposal)
      this.sessions.set(session.token, session)
      phase = 'new'
      if (above !== 'loaded') Object.assign(session, { phase: 'unloaded', load: 0 })
    }
    session.version++
    session.reason = 'disconnected'
    if (session.phase === 'unloaded') {
      phase = above === 'loaded' ? 'returned' : above
      if (above === 'loaded') this.#loadAgain(session, node)
    }
    const { expected, navigations } = proposal
    const both = { keepsLoaded: true, keepsState: true, endAt: NEVER }
    session.shares.set(node, { ...both, expected: [...expected], navigations })
    const isExpectedHere = kind === 'page' && this.#pageEnters(session, node, page)
    const { id, createdAt, load, hadPage, version } = session
    const pagesElsewhere = [...session.pages.values()].filter(other => other !== node).length
    return { admission: { id, phase, createdAt, load, hadPage, isExpectedHere, pagesElsewhere }, version }
  }

  report(node: MemoryCoordinator, share: Share, leftPage?: string): Reported | undefined {
    const session = this.find(share)
    if (session === undefined) return undefined
    session.version++
    session.keep(node, share, this.clock.now() + share.endIn)
    if (leftPage !== undefined && session.pages.get(leftPage) === node) session.pages.delete(leftPage)
    const pageExpected = session.awaiting(this.clock.now()).some(({ node: other }) => other !== node)
    return { claim: this.#next(session, node), pageExpected }
  }

  expire(node: MemoryCoordinator, ref: SessionRef, endIn: number): void {
    const session = this.find(ref)
    if (session === undefined) return
    session.version++
    session.reason = 'expired'
    session.unloadAt = session.endAt = 0
    const kept = session.shares.get(node)
    if (kept !== undefined) Object.assign(kept, { keepsState: true, endAt: this.clock.now() + endIn })
    session.tellOthers(node, (events, id) => events.expired(id, endIn))
  }

  end(node: MemoryCoordinator, ref: SessionRef, reason: Reason): SessionClaim | undefined {
    const session = this.find(ref)
    if (session === undefined) return undefined
    if (reason === 'evicted') {
      session.part(node)
      if (session.isKept('keepsLoaded') || session.isKept('keepsState')) return undefined
    }
    session.reason = reason
    // Hooks of one session run one after another, on one node.
    const busy = session.phase === 'unloading' ? this.#work.get(`unload ${session.id}`)?.node : undefined
    const claimer = busy !== undefined && this.nodes.has(busy) ? busy : node
    const claim = this.#finish(session, node, claimer)
    if (claimer === node) return claim
    this.handOut(claim, claimer)
    return undefined
  }

  /** Work that another node has caused. */
  claim(node: MemoryCoordinator, limit: number): Claim[] {
    const now = this.clock.now()
    const claims: Claim[] = []
    for (const { claim, until } of [...this.#work.values()]) {
      if (claims.length === limit) break
      if (until > now) continue
      if (node.worksOn.has(keyOf(claim))) {
        this.#grant(claim, node)
        continue
      }
      const session = this.sessions.get(claim.token)
      const again = { ...claim, fence: claim.fence + 1 }
      if (session !== undefined) session.fence = Math.max(session.fence, again.fence)
      claims.push(this.#grant(again, node))
    }
    for (const session of [...this.sessions.values()]) {
      for (const value of [...session.values.values()]) {
        if (claims.length === limit || value.expiresAt > now) continue
        session.values.delete(value.name)
        claims.push(this.grantValue(node, session, value, 'timeToLive'))
      }
      const claim = claims.length === limit ? undefined : this.#next(session, node)
      if (claim !== undefined) claims.push(claim)
    }
    this.tellDue(node)
    return claims
  }

  grantValue(
    node: MemoryCoordinator,
    { token, id, createdAt, fence }: SharedSession,
    { name, data, version }: { name: string; data: string; version: number },
    reason: ValueClaim['reason'],
  ): ValueClaim {
    const claim = {
      phase: 'value',
      token,
      sessionId: id,
      createdAt,
      reason,
      fence,
      name,
      data,
      version,
    } as const
    return this.#grant(claim, node)
  }

  extend(node: MemoryCoordinator, claim: Claim): boolean {
    const work = this.#work.get(keyOf(claim))
    if (work?.claim.fence !== claim.fence) return false
    this.#grant(claim, node)
    return true
  }

  complete(node: MemoryCoordinator, claim: Claim): boolean {
    const key = keyOf(claim)
    if (this.#work.get(key)?.claim.fence !== claim.fence) return false
    this.#work.delete(key)
    if (claim.phase !== 'unload') return true
    const session = this.find(claim)
    if (session === undefined) return false
    session.version++
    session.phase = 'unloaded'
    const isKept = session.isKept('keepsLoaded')
    if (isKept && this.#phaseAbove(session.token) === 'loaded') this.#loadAgain(session, undefined)
    this.tellDue(node)
    return true
  }

  goodbye(token: string, page: string, epoch: number | undefined, hint: PageHint): boolean {
    const session = this.sessions.get(token)
    const node = session?.pages.get(page)
    if (session === undefined || node === undefined) return false
    node.tell(session.id, NEVER, (events, id) => events.goodbye(id, page, epoch, hint))
    return true
  }

  /** The work that `claim()` of that node returns. */
  handOut(claim: Claim, node: MemoryCoordinator): void {
    this.#work.set(keyOf(claim), { claim, node: undefined, until: 0 })
    node.due(0)
  }

  /** A node has been gone since then. */
  drop(node: MemoryCoordinator, at: number): void {
    if (!this.nodes.delete(node)) return
    const { unloadDelay = 0, gracePeriod = 0 } = node.context ?? {}
    for (const session of this.sessions.values()) {
      const kept = session.part(node)
      if (kept?.keepsLoaded) session.unloadAt = Math.max(session.unloadAt, at + unloadDelay)
      if (kept?.keepsState) session.endAt = Math.max(session.endAt, Math.min(kept.endAt, at + gracePeriod))
    }
    for (const work of this.#work.values()) {
      if (work.node === node) Object.assign(work, { node: undefined, until: 0 })
    }
    const successor = [...this.nodes].at(-1)
    if (successor !== undefined) this.tellDue(successor)
  }

  /**
   * A share of a node that is reported after an outage.
   * @param knownAs the id by which it was confirmed
   * @returns the id that it has
   */
  hold(node: MemoryCoordinator, share: Share, knownAs: string | undefined): string | undefined {
    let session = this.sessions.get(share.token)
    if (knownAs !== undefined && session?.id !== knownAs) {
      node.tellEnd(knownAs, 'disconnected')
      return undefined
    }
    if (session === undefined) {
      session = new SharedSession(share)
      session.load = share.load
      session.phase = share.phase === 'unloaded' ? 'unloaded' : 'loaded'
      this.sessions.set(share.token, session)
    }
    session.version++
    // This node loaded it during its outage.
    if (share.load > session.load) {
      session.load = share.load
      session.phase = share.phase === 'unloaded' ? 'unloaded' : 'loaded'
    }
    for (const page of share.pages) {
      if (!session.pages.has(page)) session.pages.set(page, node)
      session.hadPage = session.everHadPage = true
    }
    session.keep(node, share, this.clock.now() + share.endIn)
    if (share.reason === 'expired' && !session.isKept('keepsLoaded')) this.expire(node, session, share.endIn)
    this.tellDue(node)
    return session.id
  }

  /** Notifies a node when it may claim something next. */
  tellDue(node: MemoryCoordinator): void {
    const times = [...this.#work.values()].map(({ until }) => until)
    for (const session of this.sessions.values()) times.push(...session.due(), session.valueDue())
    const at = Math.min(...times)
    if (at < NEVER) node.due(Math.max(at - this.clock.now(), 0))
  }

  /** The phase of the session that a scope belongs to. A session is treated like a scope of a loaded session. */
  #phaseAbove(token: string): SharedSession['phase'] {
    return this.sessions.get(parentToken(token) ?? '')?.phase ?? 'loaded'
  }

  /** The claim of a session's due work. */
  #next(session: SharedSession, node: MemoryCoordinator): SessionClaim | undefined {
    const now = this.clock.now()
    const [unloadAt, endAt] = session.due()
    if (endAt <= now) return this.#finish(session, node, node)
    if (unloadAt > now) return undefined
    const claim = session.claim('unload')
    session.phase = 'unloading'
    session.tellOthers(node, (events, id) => events.unloaded(id, claim.load, claim.reason))
    return this.#grant(claim, node)
  }

  #finish(session: SharedSession, node: MemoryCoordinator, claimer: MemoryCoordinator): SessionClaim {
    session.version++
    const { id, reason } = session
    this.sessions.delete(session.token)
    this.#work.delete(`unload ${id}`)
    for (const other of session.shares.keys()) {
      if (other !== node && other !== claimer) other.tellEnd(id, reason)
    }
    return this.#grant(session.claim('end'), claimer)
  }

  #loadAgain(session: SharedSession, by: MemoryCoordinator | undefined): void {
    session.phase = 'loaded'
    session.load++
    session.hadPage = session.pages.size > 0
    const runner = by ?? [...session.shares].find(([, { keepsLoaded }]) => keepsLoaded)?.[0]
    const { load, hadPage } = session
    session.tellOthers(
      by,
      (events, id, node) => events.loaded(id, load, hadPage, node === runner),
      (events, id, node) => node === runner && events.runLoadHooks(id, load),
    )
  }

  /** @returns whether the page uses an expectation of that node */
  #pageEnters(session: SharedSession, node: MemoryCoordinator, page: string): boolean {
    const former = session.pages.get(page)
    session.pages.set(page, node)
    if (former !== undefined) {
      const of = `${session.id} ${page}`
      if (former !== node)
        former.tell(session.id, session.version, (events, id) => events.pageMoved(id, page), {
          what: of,
        })
      return false
    }
    const wasThere = session.hadPage
    session.hadPage = session.everHadPage = true
    const first = session.expectPage(node, this.clock.now())
    for (const other of session.shares.keys()) {
      const isExpectedHere = other === first
      if (other === node || (wasThere && !isExpectedHere)) continue
      other.tell(session.id, NEVER, (events, id) => events.pageConnected(id, isExpectedHere))
    }
    return first === node
  }

  /** The version of a claim's session when it was granted. */
  grantedAt(claim: Claim): number {
    return this.#grantedAt.get(claim) ?? 0
  }

  #grant<C extends Claim>(claim: C, node: MemoryCoordinator): C {
    this.#grantedAt.set(claim, this.sessions.get(claim.token)?.version ?? 0)
    this.#work.set(keyOf(claim), { claim, node, until: this.clock.now() + DEAD })
    node.due(DEAD)
    return claim
  }
}

export function keyOf(claim: Claim): string {
  return claim.phase === 'value' ? `value ${claim.sessionId} ${claim.version}` : `${claim.phase} ${claim.id}`
}

const NEVER = Number.POSITIVE_INFINITY
