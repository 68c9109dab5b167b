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
import type { Clock } from '../../util/clock.js'
import type { Claims } from './claims.js'
import { type Answers, delay, type EnterAnswer } from './protocol.js'
import type { SessionLink, SessionLinks } from './session-links.js'
import type { Shard } from './shard.js'
import type { Shards } from './shards.js'

/** What the entries need of their coordinator. */
export interface EntriesSite {
  readonly clock: Clock
  readonly events: CoordinatorEvents | undefined
}

/** Asks and tells Redis who comes to sessions here, and what this node keeps of them. */
export class Entries {
  readonly #site: EntriesSite
  readonly #links: SessionLinks
  readonly #shards: Shards
  readonly #claims: Claims
  #saidTwoNodes = false

  constructor(site: EntriesSite, links: SessionLinks, shards: Shards, claims: Claims) {
    this.#site = site
    this.#links = links
    this.#shards = shards
    this.#claims = claims
  }

  async enter(proposal: Proposal, entry: EntryInit, create: boolean): Promise<Admission | undefined> {
    const known = this.#links.find(proposal)
    const link = proposal.isBegun ? (known ?? this.#links.begin(proposal)) : known
    const shard = this.#shards.of(proposal)
    const asking = this.#links.asking()
    let answer: Answers['enter']
    let hasEnded = false
    try {
      answer = await shard.ask('enter', () => this.#enterWords(proposal, link, entry, create))
      if (answer.length === 0) return undefined
      const [id, phase, , load] = answer
      if (link?.isOver && link.epoch === '') link.clusterId = id
      hasEnded = (link?.isOver && link.clusterId === id) || asking.hasEnded(id)
      if (hasEnded && link !== undefined && phase === 'returned') link.lostLoad = Number(load)
    } finally {
      asking.answered()
    }
    // Ended here while the answer was on its way: the entry comes to what follows.
    if (hasEnded) return this.enter({ ...proposal, id: uuid(), isBegun: false }, entry, create)
    return this.#admitted(shard, proposal.token, answer, entry)
  }

  report(share: Share, leftPage?: string): Promise<Reported> {
    const link = this.#links.find(share)
    if (link === undefined) return Promise.resolve(NOTHING)
    if (leftPage !== undefined) link.pages.delete(leftPage)
    const shard = this.#shards.of(link)
    const { clock } = this.#site
    const askedAt = clock.now()
    const endAt = askedAt + share.endIn
    const { load, keepsLoaded, keepsState, navigations, expected } = share
    return new Promise(resolve => {
      let clusterId = link.clusterId
      const send = () =>
        shard.send<'report'>({
          words: () => {
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
              share.hasValues && !this.#saidTwoNodes,
            ]
          },
          answered: answer => {
            if (answer[0] === 'ENDED') {
              if (clusterId !== link.clusterId) return send()
              this.#hasEnded(link, answer[1])
              return resolve(NOTHING)
            }
            const [due, isOnTwoNodes, pageExpected, claim] = answer
            shard.noteDue(due)
            if (isOnTwoNodes === 1) this.#sayTwoNodes(link.id)
            resolve({
              claim: claim && this.#claims.ofReport(link, claim, askedAt),
              pageExpected: pageExpected === 1,
            })
          },
          // What is kept is told when Redis is back.
          failed: () => resolve(NOTHING),
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
        words: () => ['expire', link.key, link.clusterId, delay(endIn)],
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

  #enterWords(
    { token, id, createdAt, navigations, expected }: Proposal,
    link: SessionLink | undefined,
    { page }: EntryInit,
    create: boolean,
  ) {
    const { clock } = this.#site
    // A session that Redis knew never begins again.
    const isNew = link === undefined || link.epoch === ''
    return [
      this.#links.keyOf(token),
      isNew ? id : uuid(),
      isNew ? createdAt : clock.wall(),
      create,
      page ?? '',
      navigations,
      expected.map(at => delay(at - clock.now())),
    ]
  }

  #hasEnded(link: SessionLink, reason: Parameters<CoordinatorEvents['ended']>[1]): void {
    if (link.isOver) return
    this.#claims.forget(link)
    // In a turn of its own, as all events.
    setImmediate(() => this.#site.events?.ended(link.id, reason))
  }

  #sayTwoNodes(id: string): void {
    if (this.#saidTwoNodes) return
    this.#saidTwoNodes = true
    this.#site.events?.problem(onTwoNodes(id))
  }
}

const NOTHING: Reported = { pageExpected: false }

function onTwoNodes(id: string): GradioStateError {
  return new GradioStateError(
    'VALUES_ON_TWO_NODES',
    `Expected the requests of session ${id} that use local values to come to one node, but they came to two: each has values of its own. Let the balancer be sticky, or use sharedState() for what has to follow the user. (Said once.)`,
  )
}
