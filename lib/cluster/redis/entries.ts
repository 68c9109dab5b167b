import { v4 as uuid } from 'uuid'
import { GradioStateError } from '../../errors.js'
import type {
  Admission,
  CoordinatorEvents,
  Proposal,
  Reported,
  SessionRef,
  Share,
} from '../../sessions/coordinator.js'
import type { EntryInit } from '../../sessions/entry.js'
import { parentToken } from '../../sessions/scopes.js'
import type { Clock } from '../../util/clock.js'
import type { Claims } from './claims.js'
import { type Answers, delay, type EnterAnswer } from './protocol.js'
import type { SessionLink, SessionLinks } from './session-links.js'
import type { Shard } from './shard.js'
import type { Shards } from './shards.js'

/** What the entries need from their coordinator. */
export interface EntriesContext {
  readonly clock: Clock
  readonly events: CoordinatorEvents | undefined
}

/** Sends entries on this node, and what this node keeps of its sessions, to Redis. */
export class Entries {
  readonly #context: EntriesContext
  readonly #links: SessionLinks
  readonly #shards: Shards
  readonly #claims: Claims
  #hasWarned = false

  constructor(context: EntriesContext, links: SessionLinks, shards: Shards, claims: Claims) {
    this.#context = context
    this.#links = links
    this.#shards = shards
    this.#claims = claims
  }

  async enter(proposal: Proposal, entry: EntryInit, create: boolean): Promise<Admission | undefined> {
    const known = this.#links.find(proposal)
    const link = proposal.isBegun ? (known ?? this.#links.begin(proposal)) : known
    const shard = this.#shards.of(proposal)
    const isScope = parentToken(proposal.token) !== undefined
    const call = this.#links.beginCall()
    let answer: Answers['enter']
    let hasEnded = false
    try {
      answer = await shard.ask('enter', () => this.#enterArgs(proposal, link, entry, create))
      if (answer.length === 0) return undefined
      const [id, phase, , load] = answer
      if (link?.isEnded && link.epoch === '') link.clusterId = id
      hasEnded = (link?.isEnded && link.clusterId === id) || call.hasEnded(id)
      // The load hooks of a scope run when this answer has arrived; those of a session that began here have run before.
      const isLost = phase === 'returned' || (phase === 'new' && isScope)
      if (hasEnded && link !== undefined && isLost) link.lostLoad = Number(load)
    } finally {
      call.answered()
    }
    // The session has ended here while the answer was pending, so the entry goes to the next session. Of a scope, that begins later.
    const begins = create && !(proposal.isBegun && isScope)
    if (hasEnded) return this.enter({ ...proposal, id: uuid(), isBegun: false }, entry, begins)
    return this.#admitted(shard, proposal.token, answer, entry)
  }

  report(share: Share, leftPage?: string): Promise<Reported> {
    const link = this.#links.find(share)
    if (link === undefined) return Promise.resolve(NO_CLAIM)
    if (leftPage !== undefined) link.pages.delete(leftPage)
    const shard = this.#shards.of(link)
    const { clock } = this.#context
    const askedAt = clock.now()
    const endAt = askedAt + share.endIn
    const { load, keepsLoaded, keepsState, navigations, expected } = share
    return new Promise(resolve => {
      let clusterId = link.clusterId
      const send = () =>
        shard.send<'report'>({
          args: () => {
            clusterId = link.clusterId
            return [
              'report',
              link.key,
              clusterId,
              load,
              keepsLoaded,
              keepsState,
              delay(endAt - clock.now()),
              navigations,
              expected.map(at => delay(at - clock.now())),
              leftPage ?? '',
              share.hasValues && !this.#hasWarned,
            ]
          },
          answered: answer => {
            if (answer[0] === 'ENDED') {
              if (clusterId !== link.clusterId) return send()
              this.#hasEnded(link, answer[1])
              return resolve(NO_CLAIM)
            }
            const [due, isOnTwoNodes, pageExpected, claim] = answer
            shard.noteDue(due)
            if (isOnTwoNodes === 1) this.#warnOfTwoNodes(link.id)
            resolve({
              claim: claim && this.#claims.fromReport(link, claim, askedAt),
              pageExpected: pageExpected === 1,
            })
          },
          // The resync after an outage reports the share.
          failed: () => resolve(NO_CLAIM),
        })
      send()
    })
  }

  expire(session: SessionRef, endIn: number): Promise<void> {
    const link = this.#links.find(session)
    if (link === undefined) return Promise.resolve()
    const shard = this.#shards.of(link)
    return new Promise(resolve => {
      shard.send<'expire'>({
        args: () => ['expire', link.key, link.clusterId, delay(endIn)],
        answered: ([due = -1]) => {
          shard.noteDue(due)
          resolve()
        },
        failed: () => resolve(),
      })
    })
  }

  #admitted(shard: Shard, token: string, answer: EnterAnswer, { page }: EntryInit): Admission {
    const [id, phase, createdAt, load, hadPage, isExpectedHere, pagesElsewhere, version, due] = answer
    const link = this.#links.confirm(token, id, shard.epoch)
    link.note(Number(version))
    if (page !== undefined) link.pages.set(page, Number(version))
    shard.noteDue(due)
    return {
      id: link.id,
      phase,
      createdAt: Number(createdAt),
      load: Number(load),
      hadPage: hadPage === 1,
      isExpectedHere: isExpectedHere === 1,
      pagesElsewhere,
    }
  }

  #enterArgs(
    { token, id, createdAt, navigations, expected }: Proposal,
    link: SessionLink | undefined,
    { page }: EntryInit,
    create: boolean,
  ) {
    const { clock } = this.#context
    // A session that Redis knew must not begin again with the same id.
    const isNew = link === undefined || link.epoch === ''
    return [
      this.#links.keyOf(token),
      isNew ? id : uuid(),
      isNew ? createdAt : clock.wall(),
      create,
      page ?? '',
      navigations,
      expected.map(at => delay(at - clock.now())),
      this.#links.scopeOf(token),
    ]
  }

  #hasEnded(link: SessionLink, reason: Parameters<CoordinatorEvents['ended']>[1]): void {
    if (link.isEnded) return
    this.#claims.forget(link)
    // In its own macrotask, like all events.
    setImmediate(() => this.#context.events?.ended(link.id, reason))
  }

  #warnOfTwoNodes(id: string): void {
    if (this.#hasWarned) return
    this.#hasWarned = true
    this.#context.events?.problem(onTwoNodes(id))
  }
}

const NO_CLAIM: Reported = { pageExpected: false }

function onTwoNodes(id: string): GradioStateError {
  return new GradioStateError(
    'VALUES_ON_TWO_NODES',
    `Expected the requests of session ${id} that use local values to reach one node, but they reached two, and each has its own values. Use sticky sessions at the load balancer, or sharedState() for values that must be the same on all nodes. (Reported once.)`,
  )
}
