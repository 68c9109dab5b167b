import { randomUUID } from 'node:crypto'
import createDebug from 'debug'
import { GradioStateError } from '../errors.js'
import { flat } from '../util/detach-string.js'
import { isThenable } from '../util/thenable.js'
import { Arrivals } from './arrivals.js'
import type {
  Arrival,
  Claim,
  Engine,
  EngineEvents,
  Holder,
  Departure as Leaving,
  Life,
  MaybePromise,
} from './engine.js'
import { Claims } from './engine-claims.js'
import type { ErrorContext } from './events.js'
import type { EndWork } from './lifecycle.js'
import type { Departure, EntryKind } from './presence.js'
import type { Reason } from './reason.js'
import type { CloseReport } from './reports.js'
import { Entry, type Session } from './session.js'
import type { SharedOwner } from './session-access.js'
import {
  type Beginning,
  type Cluster,
  closed,
  Sessions,
  type SessionsConfig,
  type Visiting,
} from './sessions.js'
import type { ValueClaim } from './shared-value-store.js'

const debug = createDebug('gradio-state:session')

/** The sessions of this process where an engine knows who is here; what follows from it is decided here. */
export class EngineSessions extends Sessions {
  override readonly cluster: Cluster
  readonly #engine: Engine
  readonly #claims: Claims
  readonly #arrivals = new Arrivals()
  /** Those that don't live here, while hooks run for them. */
  readonly #standIns = new Map<string, Session>()
  #holders = 0

  constructor(config: SessionsConfig, engine: Engine) {
    super(config, engine.values)
    this.#engine = engine
    const { deadlines, hooks, lifecycle } = this
    this.#claims = new Claims(engine, lifecycle.limiter, hooks, deadlines, claim => this.#claimed(claim))
    deadlines.add(this.#claims)
    this.cluster = this.#cluster()
    this.#background(engine.start(this.#events(), { clock: config.clock, departure: this.#departure(true) }))
  }

  override enter(token: string, visiting: Visiting, beginning: Beginning): Entry
  override enter(token: string, visiting: Visiting, beginning?: Beginning): Entry | undefined
  override enter(token: string, visiting: Visiting, beginning?: Beginning): Entry | undefined {
    const entry = this.#enter(token, visiting, beginning, true)
    if (!isThenable(entry)) return entry
    void Promise.resolve(entry).then(
      entry => entry?.leave(),
      () => {},
    )
    throw establishFirst()
  }

  override async end(session: Session, reason: Reason): Promise<void> {
    const finished = session.finished ?? this.#finish(session, reason, this.#claimEnd(session, reason))
    if (!this.hooks.isInside(session.id)) await finished
  }

  override expire(session: Session, ago: number): void {
    if (session.ended !== undefined) return
    debug('%s has lost its framework session', session.id)
    session.audience?.part('expired')
    const endIn = Math.max(this.config.gracePeriod - ago, 0)
    this.#background(this.#engine.expire(session.token, session.id, endIn))
  }

  override nextDue(): undefined {
    return undefined
  }

  protected override leave(session: Session, entry: Entry, departure: Departure): void {
    const { presence } = session
    entry.left = true
    presence[COUNTS[entry.kind]]--
    if (session.ended !== undefined) {
      session.noteAnswers()
      return
    }
    if (presence.here === 0) this.registry.place(session)
    const { abrupt = false, awaitPage = false } = departure
    const left = this.#departure(abrupt, !session.values.isEmpty)
    const told = awaitPage ? { ...left, awaitPage: PAGE_LOAD } : left
    this.#background(this.#engine.release(session.token, (entry as HeldEntry).holder, told))
  }

  protected override async release(
    claim: ValueClaim,
    session: SharedOwner = this.findById(claim.life) ?? this.#standIn(claim),
  ): Promise<void> {
    await this.#claims.hold(claim, () => this.shared.release(session, claim, claim.reason))
  }

  protected override async shutDown(timeout: number): Promise<CloseReport> {
    const outran: ErrorContext[] = []
    this.hooks.timedOut = outran
    for (const session of this.all()) {
      // What other nodes may go on with is not ended here.
      if (this.#engine.isShared) void this.#finish(session, 'shutdown', undefined)
      else void this.end(session, 'shutdown')
    }
    const all = Promise.all([...this.registry.ending.map(session => session.finished), this.#claims.idle()])
    await this.deadlines.within(all, timeout)
    this.hooks.timedOut = undefined
    const unfinished = this.registry.ending.map(({ id }) => ({ source: 'session' as const, session: id }))
    await this.#engine.close()
    return { timedOut: [...outran, ...unfinished] }
  }

  #cluster(): Cluster {
    const engine = this.#engine
    const arrivals = this.#arrivals
    const enter = (token: string, visiting: Visiting, beginning?: Beginning) =>
      Promise.resolve(this.#enter(token, visiting, beginning, false))
    return {
      isShared: engine.isShared,
      get secret() {
        return engine.secret
      },
      get isEntering() {
        return arrivals.any
      },
      mustAsk: () => true,
      enter: enter as Cluster['enter'],
      goodbye: async (token, page, epoch) => engine.goodbye(token, page, epoch),
    }
  }

  #enter(
    token: string,
    { kind, page }: Visiting,
    beginning: Beginning | undefined,
    atOnce: boolean,
  ): MaybePromise<Entry | undefined> {
    if (this.closing) throw closed()
    const isKnown = this.find(token) !== undefined
    const isFresh = beginning !== undefined && !isKnown && !this.#arrivals.isFresh(token)
    if (isFresh) this.#makeRoom()
    // A session that begins here keeps it.
    const kept = isKnown ? token : flat(token)
    const id = kind === 'page' ? flat(page ?? randomUUID()) : String(++this.#holders)
    const holder: Holder = { id, kind }
    const life = this.#engine.open(kept, holder, this.#arrival(kind, beginning !== undefined, atOnce))
    if (!isThenable(life)) return this.#admit(kept, holder, life, beginning)
    return this.#arrivals.answered(kept, isFresh, life, (life, isOver) => {
      if (this.closing) throw closed()
      // The life that was found has ended before it could be entered: what comes after it is asked for.
      const visiting = kind === 'page' ? { kind, page: id } : { kind }
      return isOver
        ? this.#enter(token, visiting, beginning, false)
        : this.#admit(kept, holder, life, beginning)
    })
  }

  #makeRoom(): void {
    const isAwaited = ({ token }: Session) => this.#arrivals.has(token)
    const inTheWay = this.registry.inTheWay(this.#arrivals.fresh, isAwaited)
    if (inTheWay !== undefined) void this.end(inTheWay, 'evicted')
  }

  #admit(token: string, holder: Holder, life: Life | undefined, beginning?: Beginning): Entry | undefined {
    if (life === undefined) return undefined
    const known = this.findById(life.id)
    const session = known ?? this.begin(token, life.id, life.createdAt, beginning)
    const { presence } = session
    if (known === undefined) presence.load = life.load
    session.pagesElsewhere = life.pagesElsewhere
    presence[COUNTS[holder.kind]]++
    if (holder.kind === 'page') presence.hadPage = true
    this.registry.place(session)
    // Another node may have begun it.
    if (known !== undefined || life.phase !== 'new') session.noteReturn()
    const entry = new HeldEntry(session, holder)
    if (life.phase === 'unloading') entry.ready = this.#afterUnload(session, entry)
    else this.#load(session, life)
    return entry
  }

  #load(session: Session, { phase, load }: Life): void {
    if (phase === 'loaded') this.#noteLoad(session, load)
    else this.#loadHere(session, load)
  }

  #loadHere(session: Session, load: number): void {
    session.presence.load = load
    session.presence.phase = 'loaded'
    this.lifecycle.load(session)
  }

  /** The session is loaded, by whomever: the node that did it has run the hooks. */
  #noteLoad(session: Session, load: number): void {
    const { presence } = session
    if (presence.phase === 'loaded' && presence.load === load) return
    presence.phase = 'loaded'
    presence.load = load
    session.beginLoad()
  }

  /** The session is unloaded, by whomever. */
  #noteUnload(session: Session): void {
    const { presence } = session
    if (presence.phase !== 'loaded') return
    presence.phase = 'unloaded'
    session.endLoad()
  }

  /** A session that doesn't live here, as far as a claim knows it. */
  #standIn({
    token,
    life,
    createdAt,
    load,
  }: Pick<Claim, 'token' | 'life' | 'createdAt'> & { load?: number }): Session {
    const session = this.make({ token, id: life, createdAt, info: undefined })
    session.presence.load = load ?? 1
    return session
  }

  /**
   * Who arrives while the unload hooks run waits for them, at most one time limit; then the engine is asked again
   * whether this is the arrival that makes the session loaded.
   */
  #afterUnload(session: Session, entry: HeldEntry): Promise<unknown> {
    return this.deadlines.within(this.#reopen(session, entry), this.config.hookTimeout)
  }

  async #reopen(session: Session, entry: HeldEntry): Promise<void> {
    try {
      for (;;) {
        await session.unloading
        if (entry.left || session.ended !== undefined) return
        const life = await this.#engine.open(session.token, entry.holder, this.#arrival(entry.kind, false))
        if (life?.phase !== 'unloading') {
          if (life?.id === session.id) this.#load(session, life)
          return
        }
        // A shared engine's claim, which this node has not heard of yet, or which another one works on.
        await this.deadlines.pause(ASK_AGAIN)
      }
    } catch (error) {
      this.hooks.report(error, { source: 'engine', session: session.id })
    }
  }

  #arrival(kind: EntryKind, create: boolean, atOnce = false): Arrival {
    return { create, unloadIn: kind === 'page' ? 0 : this.config.unloadDelay, atOnce }
  }

  /** @param abrupt whether a socket broke, so that its page may come back */
  #departure(abrupt: boolean, hasValues = false): Leaving {
    const { unloadDelay, gracePeriod } = this.config
    return { unloadIn: unloadDelay + (abrupt ? RECONNECT : 0), endIn: gracePeriod, hasValues }
  }

  /** What the engine tells by itself. */
  #events(): EngineEvents {
    const of = (life: string, tell: (session: Session) => void) => {
      const session = this.findById(life)
      if (session !== undefined) tell(session)
    }
    // What comes to another node comes back.
    const ofReturned = (life: string, tell: (session: Session) => void) =>
      of(life, session => {
        session.noteReturn()
        tell(session)
      })
    return {
      wake: () => this.deadlines.wake(),
      gone: (token, life, reason) => {
        this.#arrivals.noteEnd(token, life)
        of(life, session => void this.#finish(session, reason, undefined))
      },
      unloaded: life => of(life, session => this.#noteUnload(session)),
      returned: (life, load) => of(life, session => this.#loadHere(session, load)),
      expired: life => of(life, session => session.audience?.part('expired')),
      moved: (life, page) => ofReturned(life, session => session.audience?.find(page)?.leave()),
      goodbye: (life, page, epoch) =>
        ofReturned(life, session => session.audience?.find(page)?.goodbye(epoch)),
      problem: error => this.hooks.report(error, { source: 'engine' }),
    }
  }

  async #claimEnd(session: Session, reason: Reason): Promise<Claim | undefined> {
    try {
      return await this.#engine.end(session.token, session.id, reason)
    } catch (error) {
      this.hooks.report(error, { source: 'engine', session: session.id })
      return undefined
    }
  }

  #claimed(claim: Claim | ValueClaim): void {
    const { limiter } = this.lifecycle
    if (claim.phase === 'value') {
      void limiter.run(() => this.release(claim))
      return
    }
    const session = this.findById(claim.life) ?? this.#keepStandIn(claim)
    if (claim.phase === 'end') {
      const finished = this.#finish(session, claim.reason, claim)
      if (this.#standIns.has(claim.life)) void finished.finally(() => this.#standIns.delete(claim.life))
      return
    }
    const unloading = limiter.run(() => this.#unload(session, claim))
    session.unloading = unloading
    void unloading.then(() => {
      if (session.unloading === unloading) session.unloading = undefined
    })
  }

  async #unload(session: Session, claim: Claim): Promise<void> {
    const { load, reason, isLoaded } = claim
    await this.#claims.hold(claim, async isOurs => {
      // Somebody else has done it.
      if (!isLoaded) return
      this.#noteLoad(session, load)
      this.#noteUnload(session)
      await this.lifecycle.unload(session, load, reason, async () => isOurs())
    })
    if (session.finished === undefined) this.#standIns.delete(claim.life)
  }

  /** The hooks of an end wait for those of an unload that is running, so both have to be of one session. */
  #keepStandIn(claim: Claim): Session {
    const session = this.#standIns.get(claim.life) ?? this.#standIn(claim)
    this.#standIns.set(claim.life, session)
    return session
  }

  #finish(session: Session, reason: Reason, claimed: MaybePromise<Claim | undefined>): Promise<void> {
    this.#arrivals.noteEnd(session.token, session.id)
    const { load, everHadPage: hadPage } = session.presence
    const work: EndWork = { load, isLoaded: false, hadPage, sharedValues: [] }
    return this.lifecycle.end(session, reason, work, () => this.#endInPlace(session, reason, claimed))
  }

  /** What there is of an ended session in this process goes, and its hooks run where the claim is this node's. */
  async #endInPlace(
    session: Session,
    reason: Reason,
    claimed: MaybePromise<Claim | undefined>,
  ): Promise<void> {
    const claim = await claimed
    const isOurs =
      claim !== undefined &&
      (await this.#claims.hold(claim, isOurs =>
        this.lifecycle.finish(session, claim.reason, { ...claim, sharedValues: claim.values }, async () =>
          isOurs(),
        ),
      ))
    if (!isOurs) await this.lifecycle.finishPart(session, reason)
  }

  /** What the engine does by itself is waited for by nobody, so its failure has to be reported here. */
  #background(work: MaybePromise<unknown>): void {
    if (isThenable(work)) work.then(undefined, error => this.hooks.report(error, { source: 'engine' }))
  }
}

/** An entry that an engine knows as its holder. */
class HeldEntry extends Entry {
  readonly holder: Holder

  constructor(session: Session, holder: Holder) {
    super(session, holder.kind, holder.id)
    this.holder = holder
  }
}

function establishFirst(): GradioStateError {
  return new GradioStateError(
    'ESTABLISH_FIRST',
    'Expected `await req.gradioState.establish()` before the first use: the engine of this app answers asynchronously.',
  )
}

const COUNTS = { page: 'pages', request: 'requests', navigation: 'navigations' } as const
/** How soon a shared engine is asked again whether an unload is over. */
const ASK_AGAIN = 100
/** How long after a socket broke its page may take to come back: measured redials take less than a second. */
const RECONNECT = 1_500
/** How long a page may take from the end of its HTML until its script connects. */
const PAGE_LOAD = 30_000
