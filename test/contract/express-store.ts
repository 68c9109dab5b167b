import assert from 'node:assert/strict'
import { after, before, describe, it, type TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import express from 'express'
import type { SessionOptions } from 'express-session'
import type { GradioState, GradioStateOptions } from '../../lib/index.ts'
import { type FakeClock, fakeClock, type TestPage, type Visitor } from '../../lib/testing/index.ts'
import { systemClock } from '../../lib/util/clock.ts'
import { json, site } from '../support/http/express.ts'
import type { ExpressStore, StoreKind } from '../support/stores/express-stores.ts'
import { recordCalls, type StoreCalls } from '../support/stores/store-calls.ts'

// What happens to sessions whose framework sessions are in a store of express-session. The time is real, since stores have their own
// clocks. Only while tests wait for the slow poll does the library's time run faster.

export interface StoreTraits {
  /**
   * After how many seconds a framework session expires in the tests: long enough for a busy machine to send its requests before. One
   * second more for a store that may delete it a second early.
   * @default 6
   */
  lifetime?: number
  /** How to stop and start the store's server. Without it, the sessions are in this process or on its disk. */
  whenAway?: 'fails' | 'hangs'
  /** Whether its server can come back without its data. */
  canForget?: boolean
}

/** The grace period, in seconds. */
const GRACE = 1
/** Timers may be early by this much, in milliseconds. */
const EARLY = 20
/** The longest interval between two polls, in seconds. */
const POLL = 600

/** Declares the tests of the contract for one kind of store. */
export function describeExpressStore(
  name: string,
  open: () => Promise<StoreKind>,
  { lifetime = 6, whenAway, canForget = false }: StoreTraits = {},
): void {
  // One after the other inside, whatever is outside: a stopped server is unavailable to all tests.
  describe(name, { concurrency: 1 }, () => {
    let kind: StoreKind
    before(async () => {
      kind = await open()
    })
    after(() => kind?.close())

    /** Declares a test. It receives a function that opens its app. */
    function test(behaviour: string, run: (app: (setup?: Setup) => Promise<App>) => Promise<void>): void {
      it(behaviour, t => run(setup => openApp(t, kind, { lifetime, ...setup })))
    }

    describe('sessions', { concurrency: true }, () => {
      test('that expire without any traffic unload then, and end one grace period later', async app => {
        const { user, log, gradio, diagnose } = await app()
        const me = user()
        const page = await me.openPage()
        const expiry = Date.now() + lifetime * 1000
        const id = await me.set('mine')
        assert.equal(await disconnectionOf(page), 'expired')
        await log.until('ended')
        await sleep(300)
        assert.deepEqual(log.of(id), ['unload expired', 'delete expired', 'ended expired'])
        log.notBefore(expiry, 'unload')
        log.notBefore(expiry + GRACE * 1000, 'delete', 'ended')
        assert.equal(gradio.stats().sessions, 0)
        diagnose(`noticed ${log.at('unload') - expiry} ms after the cookie's time`)
      })

      test('that expire after the user has left end one grace period after the expiry, not after the leave', async app => {
        const { user, log } = await app({ options: { gracePeriod: lifetime + 1, unloadDelay: 0 } })
        const expiry = Date.now() + lifetime * 1000
        const id = await user().set('mine')
        await log.until('unload')
        await log.until('ended')
        assert.deepEqual(log.of(id), ['unload disconnected', 'delete expired', 'ended expired'])
        log.notBefore(expiry + (lifetime + 1) * 1000, 'ended')
      })

      test('whose cookies are sent again after the expiry start anew', async app => {
        const { user, log } = await app()
        const me = user()
        const { id, page } = await me.come('mine')
        await disconnectionOf(page)
        const next = await me.get()
        assert.notEqual(next.id, id)
        assert.equal(next.value, undefined)
        await log.until('ended', id)
        assert.deepEqual(log.of(id), ['unload expired', 'delete expired', 'ended expired'])
      })

      for (const rolling of [true, false]) {
        test(`that requests extend outlive their first deadline (rolling: ${rolling})`, async app => {
          // A busy machine may respond later than a short session expires.
          let seconds = lifetime
          while (!(await areProlonged(app, seconds, rolling))) seconds *= 4
        })
      }

      test('whose maxAge is changed at run time expire accordingly', async app => {
        const { user, log } = await app()
        const [longer, shorter] = [user(), user()]
        const { id: kept } = await longer.come('longer')
        await longer.post('/lives/60000')
        const { id: gone, page } = await shorter.come('shorter')
        await shorter.post('/lives/60000')
        await shorter.post(`/lives/${lifetime * 1000}`)
        assert.equal(await disconnectionOf(page), 'expired')
        await log.until('ended', gone)
        assert.deepEqual(log.of(kept), [])
        assert.deepEqual(await longer.get(), { id: kept, value: 'longer' })
      })

      for (const where of ['by a request', 'elsewhere in the process']) {
        test(`that are destroyed ${where} end at once`, async app => {
          const { user, log, sessionStore } = await app(LONG)
          const [me, other] = [user(), user()]
          const { id, page } = await me.come('mine')
          const { id: kept } = await other.come('theirs')
          if (where === 'by a request') await me.post('/logout')
          else await new Promise(resolve => sessionStore.store.destroy(me.frameworkSessionId(), resolve))
          assert.equal(await disconnectionOf(page), 'destroyed')
          await log.until('ended')
          await sleep(300)
          assert.deepEqual(log.of(id), ['unload destroyed', 'delete destroyed', 'ended destroyed'])
          assert.deepEqual(log.of(kept), [])
          assert.notEqual((await me.get()).id, id)
        })
      }

      test('that are regenerated end, and the request has a new one', async app => {
        const { user, log } = await app({ ...LONG, options: { gracePeriod: 60 } })
        const me = user()
        const { id, page } = await me.come('mine')
        const previous = me.frameworkSessionId()
        const { body } = await json<{ id: string; value: unknown }>(me.fetch('/login', POST))
        assert.notEqual(me.frameworkSessionId(), previous)
        assert.notEqual(body.id, id)
        assert.equal(body.value, undefined)
        assert.equal(await disconnectionOf(page), 'regenerated')
        await log.until('ended')
        assert.deepEqual(log.of(id), ['unload regenerated', 'delete regenerated', 'ended regenerated'])
        assert.deepEqual(await me.get(), { id: body.id })
        assert.deepEqual(log.of(body.id), [])
      })

      test("that are regenerated continue, with onRegenerate: 'keep', until the new one expires", async app => {
        const { user, log, gradio } = await app({ lifetime: 8, options: { onRegenerate: 'keep' } })
        const me = user()
        const { id, page } = await me.come('mine')
        const { url } = (await json<{ url: string }>(me.fetch('/file', POST))).body
        const previous = me.frameworkSessionId()
        await sleep(1_000)
        const begun = Date.now()
        const { body } = await json(me.fetch('/login', POST))
        assert.notEqual(me.frameworkSessionId(), previous)
        assert.deepEqual(body, { id, value: 'mine' })
        assert.deepEqual(await me.get(), { id, value: 'mine' })
        assert.equal(await (await me.fetch(url)).text(), 'content')
        assert.equal(gradio.session(id)?.pages, 1)
        assert.deepEqual(log.of(id), [])
        assert.equal(await disconnectionOf(page), 'expired')
        log.notBefore(begun + 8_000, 'unload')
        await log.until('ended')
        assert.deepEqual(log.of(id), ['unload expired', 'delete expired', 'ended expired'])
      })

      test("that are regenerated with 'keep' are ended by a later logout, once", async app => {
        const { user, log } = await app({ ...LONG, options: { onRegenerate: 'keep' } })
        const me = user()
        const { id, page } = await me.come('mine')
        await me.post('/login')
        await me.post('/logout')
        assert.equal(await disconnectionOf(page), 'destroyed')
        await log.until('ended')
        await sleep(300)
        assert.deepEqual(log.of(id), ['unload destroyed', 'delete destroyed', 'ended destroyed'])
      })

      for (const [how, setup] of Object.entries({ 'with maxAge': LONG, 'without maxAge': ENDLESS }))
        test(`that are lost early, unknown to the library, unload at the next poll (${how})`, async app => {
          const options = { gracePeriod: 60 }
          const { user, log, sessionStore, pass, calls } = await app({
            ...setup,
            options,
            clock: fakeClock(Date.now()),
          })
          const me = user()
          const { id, page } = await me.come('mine')
          await pass(POLL)
          assert.deepEqual(log.of(id), [])
          await sessionStore.flush()
          calls.take()
          await pass(POLL, () => log.has('unload'))
          assert.equal(await disconnectionOf(page), 'expired')
          assert.deepEqual(log.of(id), ['unload expired'])
          await pass(50)
          assert.deepEqual(log.of(id), ['unload expired'])
          await pass(20, () => log.has('ended'))
          assert.deepEqual(log.of(id), ['unload expired', 'delete expired', 'ended expired'])
          assert.deepEqual([...new Set(calls.take())], ['get'], 'nothing but questions')
          assert.equal(
            await sessionStore.expiryOf(me.frameworkSessionId()),
            undefined,
            'it was not created again',
          )
        })

      test('that are only queried are not extended by it, and are rarely queried', async app => {
        const { user, log, sessionStore, pass, calls } = await app({ ...LONG, clock: fakeClock(Date.now()) })
        const me = user()
        const { id } = await me.come('mine')
        const before = await sessionStore.expiryOf(me.frameworkSessionId())
        assert.ok(before !== undefined)
        calls.take()
        await pass(3 * POLL)
        assert.equal(await sessionStore.expiryOf(me.frameworkSessionId()), before)
        assert.deepEqual(log.of(id), [])
        const made = calls.take()
        assert.deepEqual([...new Set(made)], ['get'])
        assert.ok(made.length >= 3 && made.length <= 10, `${made.length} times`)
      })

      test('that an open page keeps alive continue, and are not recreated when they are lost', async app => {
        const { user, log, sessionStore, calls } = await app({ lifetime: 8, options: { keepAlive: true } })
        const me = user()
        const { id, page } = await me.come('mine')
        const before = await sessionStore.expiryOf(me.frameworkSessionId())
        calls.take()
        await sleep(14_000)
        assert.deepEqual(log.of(id), [])
        const since = await sessionStore.expiryOf(me.frameworkSessionId())
        assert.ok(before !== undefined && since !== undefined && since > before)
        const made = calls.take()
        assert.deepEqual([...new Set(made)].sort(), ['get', 'touch'])
        assert.ok(made.length <= 12, `${made.length} calls`)
        await sessionStore.flush()
        assert.equal(await disconnectionOf(page), 'expired')
        assert.equal(await sessionStore.expiryOf(me.frameworkSessionId()), undefined)
        assert.equal(calls.take().at(-1), 'get')
        await log.until('ended')
        assert.deepEqual(log.of(id), ['unload expired', 'delete expired', 'ended expired'])
      })

      test('are queried when their deadline has passed, and a few more times if the store is late', async app => {
        const { user, calls, diagnose } = await app()
        const me = user()
        const { page } = await me.come('mine')
        calls.take()
        await disconnectionOf(page)
        const made = calls.take()
        diagnose(`${made.length} calls`)
        assert.deepEqual([...new Set(made)], ['get'])
        assert.ok(made.length <= 4, `${made.length} times`)
      })
    })

    if (whenAway === undefined) return

    it('while its server is unavailable nothing ends, and what has expired by then ends when it is available again', async t => {
      const { user, log, errors, gradio, sessionStore, diagnose } = await openApp(t, kind, { lifetime })
      const server = kind.server as NonNullable<StoreKind['server']>
      const lives = user()
      const { id: kept } = await lives.come('longer')
      await lives.post('/lives/600000')
      for (const outage of ['first', 'second']) {
        const expiring = [user(), user(), user()]
        const came = await Promise.all(expiring.map(someone => someone.come('mine')))
        const ids = came.map(({ id }) => id)
        const before = log.entries.length
        await server.stop()
        if (whenAway === 'fails') {
          const failed = await new Promise(resolve =>
            sessionStore.store.destroy(lives.frameworkSessionId(), resolve),
          )
          assert.ok(failed, 'a logout that fails is none')
        }
        await sleep((lifetime + 2) * 1000)
        assert.equal(log.entries.length, before, 'nothing ends because nobody answers')
        for (const id of ids) assert.equal(gradio.session(id)?.pages, 1)
        if (whenAway === 'fails') assert.equal(errors.length, 1, 'each failure is reported once')
        // Before the start, which resolves some time after the server has begun to respond.
        const back = Date.now()
        await server.start()
        for (const id of ids) {
          // No longer than the longest pause between two queries in an outage.
          await log.until('ended', id, 45)
          assert.deepEqual(log.of(id), ['unload expired', 'delete expired', 'ended expired'])
          log.notBefore(back, 'unload')
        }
        diagnose(`${outage} outage: noticed ${log.at('unload', ids[0]) - back} ms after the server was back`)
      }
      assert.deepEqual(log.of(kept), [])
      assert.equal(gradio.session(kept)?.pages, 1)
      assert.deepEqual(await lives.get(), { id: kept, value: 'longer' })
      assert.ok(errors.length <= 1, `${errors.length} reports`)
      errors.length = 0
    })

    if (!canForget) return

    it('when its server comes back empty, sessions unload at the next poll', async t => {
      const options = { gracePeriod: 60 }
      const { user, log, sessionStore, pass } = await openApp(t, kind, {
        ...LONG,
        options,
        clock: fakeClock(Date.now()),
      })
      const me = user()
      const { id, page } = await me.come('mine')
      const server = kind.server as NonNullable<StoreKind['server']>
      await server.stop()
      await server.forget?.()
      await server.start()
      await eventually(() => sessionStore.isConnected?.() ?? true, 'the client is back')
      await pass(POLL, () => log.has('unload'))
      assert.equal(await disconnectionOf(page), 'expired')
      assert.deepEqual(log.of(id), ['unload expired'])
    })
  })
}

const POST = { method: 'POST' }

interface Setup {
  /** The lifetime of a framework session, in seconds. */
  lifetime?: number | undefined
  session?: Partial<SessionOptions>
  options?: GradioStateOptions
  /** @default the system's */
  clock?: FakeClock
}

/**
 * Tests that requests extend a framework session.
 * @param lifetime of the framework session, in seconds
 * @returns whether each request was sent before the deadline that the previous one had set: otherwise nothing is tested
 */
async function areProlonged(
  app: (setup: Setup) => Promise<App>,
  lifetime: number,
  rolling: boolean,
): Promise<boolean> {
  const { user, log, gradio } = await app({ lifetime, session: { rolling } })
  const me = user()
  /** No later than when the deadline was set. */
  let touched = Date.now()
  const isInTime = () => Date.now() - touched < lifetime * 1000 - EARLY
  const { id, page } = await me.come('mine')
  for (const end = touched + 2.5 * lifetime * 1000; touched < end; await sleep(200)) {
    const sent = Date.now()
    await me.post('/nothing')
    if (!isInTime()) return false
    touched = sent
    assert.deepEqual(log.of(id), [])
    assert.equal(gradio.session(id)?.pages, 1)
  }
  const sent = Date.now()
  const answer = await me.get()
  if (!isInTime()) return false
  assert.deepEqual(answer, { id, value: 'mine' })
  assert.equal(await disconnectionOf(page), 'expired')
  log.notBefore(sent + lifetime * 1000, 'unload')
  await log.until('ended')
  assert.deepEqual(log.of(id), ['unload expired', 'delete expired', 'ended expired'])
  return true
}

/** For sessions that don't expire during the test. */
const LONG: Setup = { lifetime: 3600 }
/** A cookie that lasts until the browser is closed; the store decides how long it keeps the session. */
const ENDLESS: Setup = { lifetime: undefined }

interface App {
  readonly gradio: GradioState
  readonly sessionStore: ExpressStore
  /** The calls of the store. */
  readonly calls: StoreCalls
  readonly log: Log
  /** The reported errors. A test that leaves any in here fails. */
  readonly errors: unknown[]
  user(): User
  /** Advances the library's time by seconds, no faster than the store responds, until `isDone`. */
  pass(seconds: number, isDone?: () => boolean): Promise<void>
  /** Writes a measured value into the test report. */
  diagnose(text: string): void
}

interface User extends Visitor {
  /** Opens a page, and sets the value of the session. */
  come(value: string): Promise<{ id: string; page: TestPage }>
  /** Sets the value of the session, and returns the session's id. */
  set(value: string): Promise<string>
  get(): Promise<{ id: string; value?: string }>
  /** Resolves at the end of the response: before that, express-session may not have saved the changes of the request. */
  post(path: string): Promise<string>
  /** The id of the framework session. */
  frameworkSessionId(): string
}

/** An app that keeps its framework sessions in a store of this kind. */
async function openApp(t: TestContext, kind: StoreKind, setup: Setup = {}): Promise<App> {
  const sessionStore = await kind.make()
  const cookie = setup.lifetime === undefined ? {} : { maxAge: setup.lifetime * 1000 }
  const calls = recordCalls(sessionStore.store)
  const log = new Log()
  const errors: unknown[] = []
  const { gradio, visitor } = await site(t, express, {
    session: { store: sessionStore.store, cookie, ...setup.session },
    options: { clock: setup.clock ?? systemClock, gracePeriod: GRACE, ...setup.options },
    routes(app, gradio) {
      const held = gradio.state<string>('held', {
        deleteCallback: (_value, { reason, session }) => log.add('delete', reason, session.id),
      })
      gradio.unload(({ session, reason }) => log.add('unload', reason, session.id))
      gradio.ended(({ session, reason }) => log.add('ended', reason, session.id))
      gradio.on('error', error => errors.push(error))
      app.post('/nothing', (_req, res) => res.end())
      app.post('/set/:value', (req, res) => {
        req.gradioState.set(held, req.params.value)
        res.json({ id: req.gradioState.id })
      })
      app.get('/get', (req, res) =>
        res.json({ id: req.gradioState.id, value: req.gradioState.get(held as never) }),
      )
      app.post('/file', async (req, res) => {
        const { url } = await req.gradioState.saveFile('content', { name: 'file.txt' })
        res.json({ url })
      })
      app.post('/lives/:ms', (req, res) => {
        req.session.cookie.maxAge = Number(req.params.ms)
        res.end()
      })
      app.post('/login', (req, res, next) => {
        req.session.regenerate(error => {
          if (error) return next(error)
          res.json({ id: req.gradioState.id, value: req.gradioState.get(held as never) })
        })
      })
      app.post('/logout', (req, res, next) => {
        req.session.destroy(error => (error ? next(error) : res.end()))
      })
    },
  })
  t.after(async () => {
    await sessionStore.close()
    assert.deepEqual(errors, [])
  })
  return {
    gradio,
    sessionStore,
    calls,
    log,
    errors,
    user: () => userOf(visitor()),
    async pass(seconds, isDone = () => false) {
      // In steps that are shorter than the store's time limit.
      for (let passed = 0; passed < seconds && !isDone(); passed += STEP) {
        await setup.clock?.advance(STEP)
        await sleep(1)
        await eventually(() => calls.pending === 0, 'an answer of the store')
      }
    },
    diagnose: text => t.diagnostic(text),
  }
}

const STEP = 1

function userOf(visitor: Visitor): User {
  const set = async (value: string) =>
    (await json<{ id: string }>(visitor.fetch(`/set/${value}`, POST))).body.id
  return {
    ...visitor,
    set,
    async come(value) {
      // The page first: without one, the grace period of the session would start.
      const page = await visitor.openPage()
      return { id: await set(value), page }
    },
    post: async path => (await visitor.fetch(path, POST)).text(),
    get: async () => (await json<{ id: string; value?: string }>(visitor.fetch('/get'))).body,
    /** The cookie is `s:<id>.<signature>`. */
    frameworkSessionId: () =>
      decodeURIComponent(visitor.cookies.get('connect.sid') ?? '')
        .slice(2)
        .split('.')[0] as string,
  }
}

type What = 'unload' | 'delete' | 'ended'

/** The calls of hooks and callbacks, and their times. */
class Log {
  readonly entries: { what: What; reason: string; id: string; at: number }[] = []

  add(what: What, reason: string, id: string): void {
    this.entries.push({ what, reason, id, at: Date.now() })
  }

  of(id: string): string[] {
    return this.entries.filter(entry => entry.id === id).map(({ what, reason }) => `${what} ${reason}`)
  }

  has(what: What, id?: string): boolean {
    return this.entries.some(entry => entry.what === what && (id === undefined || entry.id === id))
  }

  until(what: What, id?: string, seconds?: number): Promise<void> {
    return eventually(() => this.has(what, id), `that ${what} is called`, seconds)
  }

  at(what: What, id?: string): number {
    const found = this.entries.findLast(entry => entry.what === what && (id === undefined || entry.id === id))
    return found?.at ?? Number.NaN
  }

  notBefore(time: number, ...whats: What[]): void {
    for (const what of whats) {
      const early = time - this.at(what)
      assert.ok(early <= EARLY, `${what} came ${early} ms too early`)
    }
  }
}

/** Why a page was disconnected; `undefined` before. */
async function disconnectionOf({ closed }: TestPage): Promise<string> {
  let reason: string | undefined
  void closed.then(answer => {
    reason = answer.reason
  })
  await eventually(() => reason !== undefined, 'that the page is disconnected')
  return reason as string
}

/** Waits, in real time, for something that a store does in its own time. */
async function eventually(condition: () => boolean, what: string, seconds = 120): Promise<void> {
  const giveUp = performance.now() + seconds * 1000
  while (!condition()) {
    if (performance.now() > giveUp) throw new Error(`Expected within ${seconds} s: ${what}`)
    await sleep(5)
  }
}
