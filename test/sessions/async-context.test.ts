// The async contexts in which the app's functions run: data in an AsyncLocalStorage (the user, a trace, a
// transaction) must never be another user's.

import assert from 'node:assert/strict'
import { AsyncLocalStorage, AsyncResource } from 'node:async_hooks'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { describe, it, type TestContext } from 'node:test'
import express, { type Express } from 'express'
import session from 'express-session'
import {
  type Clock,
  type GradioState,
  type GradioStateOptions,
  gradioState,
  type HookEvent,
} from '../../lib/index.ts'
import { type FakeClock, fakeClock, type Visitor } from '../../lib/testing/index.ts'
import { forEachPlace, type Place, type PlaceSetting } from '../support/cluster/places.ts'
import { pass, serve, sessionDefaults, until } from '../support/http/express.ts'
import { worldClock } from '../support/http/session-app.ts'
import { closeNow } from '../support/sessions/close-now.ts'
import { harness } from '../support/sessions/harness.ts'

const context = new AsyncLocalStorage<string>()

/** Timers run in the context that set them, as in Node.js; the timers of a fake clock run in the test's context. */
function keepingContext(clock: Clock): Clock {
  return {
    now: () => clock.now(),
    wall: () => clock.wall(),
    setTimer: (run, ms) => clock.setTimer(AsyncResource.bind(run), ms),
  }
}

interface Seen {
  readonly what: string
  /** The user of the session, as recorded by `info`. */
  readonly of: unknown
  readonly in: string | undefined
}

interface WatchedOptions {
  readonly options?: GradioStateOptions
  readonly store?: session.Store
  readonly place?: Place
  /** The context in which `gradioState()` is called. */
  readonly madeIn?: string
  routes?(app: Express, gradio: GradioState): void
}

/** An app that handles each request in the context of its user, and records the contexts of its functions. */
async function watched(t: TestContext, setUp: WatchedOptions = {}) {
  const { options, store, place = { clock: fakeClock() }, madeIn, routes } = setUp
  const seen: Seen[] = []
  const note = (what: string, of: unknown) => seen.push({ what, of, in: context.getStore() })
  const make = () =>
    gradioState({
      ...place,
      gracePeriod: 60,
      info: req => {
        note('info', req.headers['x-user'])
        return req.headers['x-user']
      },
      ...options,
      clock: keepingContext(place.clock),
    })
  const gradio = madeIn === undefined ? make() : context.run(madeIn, make)
  for (const hook of ['load', 'unload', 'ended'] as const) {
    gradio[hook](({ session }: HookEvent) => note(hook, session.info))
    gradio[hook](async ({ session }: HookEvent) => {
      await null
      note(`${hook}, later`, session.info)
      throw new Error(String(session.info))
    })
  }
  gradio.on('error', (error, { source }) => note(`error of ${source}`, (error as Error).message))
  const value = gradio.state<string>('value', {
    timeToLive: 30,
    deleteCallback: (_value, { session, reason }) => note(reason, session.info),
    deleteReplaced: true,
  })
  const shared = gradio.sharedState<string>('shared', {
    timeToLive: 40,
    deleteCallback: (_value, { session, reason }) => note(`shared ${reason}`, session.info),
    deleteReplaced: true,
  })
  const app = express()
  app.set('env', 'test')
  app.use((req, _res, next) => context.run(String(req.headers['x-user']), next))
  if (store !== undefined) app.use(session(sessionDefaults({ store, cookie: { maxAge: 20_000 } })))
  app.use(gradio)
  app.get('/', async (req, res) => {
    const user = context.getStore()
    await req.gradioState.establish()
    assert.equal(context.getStore(), user)
    req.gradioState.set(value, randomUUID())
    await shared.set(req.gradioState, randomUUID())
    assert.equal(context.getStore(), user)
    req.gradioState.signal.addEventListener('abort', () => note('abort', user))
    res.json(req.gradioState.id)
  })
  app.get('/end/:id', async (req, res) => {
    const user = context.getStore()
    await gradio.endSession(req.params.id)
    assert.equal(context.getStore(), user)
    res.end()
  })
  routes?.(app, gradio)
  const served = await serve(t, app)
  t.after(() => closeNow(gradio, place.clock))
  await place.clock.advance(0)
  async function user(name: string): Promise<Visitor & { id: string }> {
    const visitor = served.visitor()
    const { fetch } = visitor
    visitor.fetch = (path, init) => fetch(path, { ...init, headers: { ...init?.headers, 'x-user': name } })
    const id = (await (await visitor.fetch('/')).json()) as string
    return Object.assign(visitor, { id })
  }
  return { ...served, gradio, seen, user, clock: place.clock as FakeClock }
}

/** The functions that ran, sorted; each outside of any user's context. `info` is called for a request. */
function took(seen: Seen[], own?: string): string[] {
  const all = seen.splice(0)
  assert.deepEqual(
    all.filter(each => each.in !== (each.what === 'info' ? each.of : own)),
    [],
  )
  return [...new Set(all.map(({ what }) => what))].sort()
}

const LOADED = ['error of load', 'info', 'load', 'load, later']
const UNLOADED = ['abort', 'error of unload', 'unload', 'unload, later']
const ENDED = ['ended', 'ended, later', 'error of ended']
const deleted = (reason: string) => [reason, `shared ${reason}`]
const all = (...lists: string[][]) => [...new Set(lists.flat())].sort()

function onPlace(setting: PlaceSetting): void {
  it('due work runs in no user’s context', async t => {
    const { seen, user, clock } = await watched(t, { place: setting.place() })
    for (const name of ['Alice', 'Bob', 'Carol']) await user(name)
    await clock.advance(0)
    assert.deepEqual(took(seen), LOADED)
    await clock.advance(2)
    assert.deepEqual(took(seen), all(UNLOADED))
    await clock.advance(40)
    assert.deepEqual(took(seen), all(deleted('timeToLive')))
    await clock.advance(60)
    assert.deepEqual(took(seen), ENDED)
    await setting.calm(clock)
  })

  it('nor does work caused by another user’s request', async t => {
    const app = await watched(t, { place: setting.place(), options: { maxSessions: 2 } })
    const [alice, bob] = [await app.user('Alice'), await app.user('Bob')]
    await app.clock.advance(0)
    took(app.seen)
    await alice.fetch(`/end/${bob.id}`)
    await app.clock.advance(0)
    assert.deepEqual(took(app.seen), all(UNLOADED, deleted('ended'), ENDED))
    await app.user('Carol')
    await app.clock.advance(0)
    took(app.seen)
    // Dora's request evicts another user's session.
    await app.user('Dora')
    await until(() => app.seen.some(({ what }) => what === 'ended, later'))
    await app.clock.advance(0)
    assert.deepEqual(took(app.seen), all(LOADED, UNLOADED, deleted('evicted'), ENDED))
    await setting.calm(app.clock)
  })

  it('nor does work caused by a page that closes, or by a user who returns', async t => {
    const app = await watched(t, { place: setting.place() })
    const [alice, bob] = [await app.user('Alice'), await app.user('Bob')]
    const pages = [await alice.openPage(), await bob.openPage()]
    await app.clock.advance(0)
    took(app.seen)
    await pages[0]?.close()
    await pages[1]?.crash()
    await until(() => app.gradio.stats().pages === 0)
    await app.clock.advance(4)
    assert.deepEqual(took(app.seen), UNLOADED)
    await Promise.all([alice.fetch('/'), bob.fetch('/')])
    await app.clock.advance(0)
    assert.deepEqual(took(app.seen), all(['error of load', 'load', 'load, later'], deleted('replaced')))
  })
}

describe('the functions of an app run in no user’s async context', () => {
  forEachPlace(onPlace)

  it('in whichever context a session store calls back', async t => {
    const clock = worldClock(t)
    // Like the pool of a database: it calls back in the context that opened its connection.
    class Pooled extends session.MemoryStore {
      override get(...[id, done]: Parameters<session.MemoryStore['get']>) {
        context.run('the pool', () => super.get(id, done))
      }
      override destroy(...[id, done]: Parameters<session.MemoryStore['destroy']>) {
        context.run('the pool', () => super.destroy(id, done))
      }
    }
    const app = await watched(t, {
      place: { clock },
      store: new Pooled(),
      routes: app =>
        app.post('/logout', (req, res) => {
          req.session.destroy(() => res.end())
        }),
    })
    const [alice] = [await app.user('Alice'), await app.user('Bob')]
    took(app.seen)
    await alice.fetch('/logout', { method: 'POST' })
    await until(() => app.seen.some(({ what }) => what === 'error of ended'))
    assert.deepEqual(took(app.seen), all(UNLOADED, deleted('destroyed'), ENDED))
    await pass(clock, 25)
    await until(() => app.gradio.stats().ended.expired + app.gradio.stats().sessions === 1)
    await pass(clock, 90)
    await until(() => app.seen.some(({ what }) => what === 'error of ended'))
    assert.deepEqual(took(app.seen), all(UNLOADED, deleted('timeToLive'), ENDED))
  })

  it('but in the context in which gradioState() was called', async t => {
    const { seen, user, clock } = await watched(t, { madeIn: 'the app' })
    await user('Alice')
    await clock.advance('2h')
    assert.deepEqual(took(seen, 'the app'), all(LOADED, UNLOADED, deleted('timeToLive'), ENDED))
  })

  it('even when one of them runs something in another context, and in what follows', async t => {
    const { gradio, clock, user, errors } = harness(t)
    const seen: unknown[] = []
    const deleteCallback = () => seen.push(context.getStore())
    const inside = (run: () => unknown) => context.run('inside', () => void run())
    gradio.load(({ session: { id } }) =>
      inside(() => gradio.session(id)?.set('a', 1, { deleteCallback, deleteReplaced: true })),
    )
    gradio.unload(({ session: { id } }) => inside(() => gradio.session(id)?.set('a', 2)))
    gradio.on('error', () => inside(() => gradio.sessions()[0]?.delete('a')))
    gradio.unload(() => {
      throw new Error('of a hook')
    })
    await user().request(state => {
      state.set('b', 1)
      state.signal.addEventListener('abort', () => inside(() => state.set('a', 3)))
    })
    const [session] = gradio.sessions()
    await clock.advance(2)
    assert.equal(session?.has('a'), false)
    // By the listener of the signal, the hook, and the listener of `error`.
    assert.deepEqual(seen, [undefined, undefined, undefined])
    assert.equal(errors.splice(0).length, 1)
  })

  it('so do console output and warnings', async t => {
    const timers = fakeClock()
    const said: unknown[] = []
    t.mock.method(console, 'error', () => said.push(context.getStore()))
    const { gradio, clock, user, unlisten } = harness(t, { clock: keepingContext(timers) }, timers)
    unlisten()
    gradio.unload(() => {
      throw new Error('of a hook')
    })
    const warning = once(process, 'warning')
    process.once('warning', () => said.push(context.getStore()))
    await context.run('Alice', () => user().request(state => state.set('x', 1)))
    await clock.advance('2h')
    await warning
    assert.deepEqual(said, [undefined, undefined])
  })
})
