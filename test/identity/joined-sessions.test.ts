// Heartbeats and requests of one browser that arrive with the same stale credential of a framework session.

import assert from 'node:assert/strict'
import { it } from 'node:test'
import type { Express } from 'express'
import type { GradioState } from '../../lib/index.ts'
import type { Visitor } from '../../lib/testing/index.ts'
import { forEachExpress, idle, site } from '../support/http/express.ts'
import { forEachKoa, koaSite } from '../support/http/koa.ts'
import { inStore } from '../support/http/koa-sessions.ts'
import { heartbeat } from '../support/pages/handshake.ts'
import { KoaStore } from '../support/stores/koa-store.ts'

const POST = { method: 'POST' }
const STALE = `s%3A${'a'.repeat(32)}.signature`

/** A server that has just started, and a browser with the cookie of the earlier one. */
interface Restarted {
  readonly gradio: GradioState
  browser(): Visitor
  advance(seconds: number): Promise<void>
}

function routes(app: Express) {
  app.get('/id', (req, res) => res.end(req.gradioState.id))
  app.get('/write', (req, res) => {
    Object.assign(req.session, { theirs: 1 })
    res.end(req.gradioState.id)
  })
  app.post('/login', (req, res, next) => {
    req.session.regenerate(error => (error ? next(error) : res.end(req.gradioState.id)))
  })
  app.post('/logout', (req, res, next) => {
    req.session.destroy(error => (error ? next(error) : res.end()))
  })
}

const idOf = async (user: Visitor, path = '/id', init: RequestInit = {}) =>
  (await user.fetch(path, init)).text()

/** The tests for all frameworks. */
function joins(restart: (t: Parameters<typeof site>[0]) => Promise<Restarted>): void {
  it('a heartbeat joins the session that a request has started', async t => {
    const { gradio, browser } = await restart(t)
    const [requesting, page] = [browser(), browser()]
    const before = new Map(page.cookies)
    const id = await idOf(requesting)
    assert.equal((await heartbeat(page, 'page')).status, 200)
    assert.deepEqual([gradio.stats().sessions, gradio.session(id)?.pages], [1, 1])
    assert.deepEqual(page.cookies, before, 'the heartbeat sets no cookie: that of the request counts')
    assert.equal(await idOf(requesting), id)
  })

  it('a request joins the session that a heartbeat has started', async t => {
    const { gradio, browser } = await restart(t)
    const [requesting, page] = [browser(), browser()]
    const before = new Map(requesting.cookies)
    await heartbeat(page, 'page')
    const id = await idOf(requesting)
    assert.deepEqual([gradio.stats().sessions, gradio.session(id)?.pages], [1, 1])
    assert.deepEqual(requesting.cookies, before)
    assert.equal(await idOf(page), id)
  })

  it('two requests each start a session', async t => {
    const { gradio, browser } = await restart(t)
    assert.notEqual(await idOf(browser()), await idOf(browser()))
    assert.equal(gradio.stats().sessions, 2)
  })

  it('all tabs of a browser are in one session', async t => {
    const { gradio, browser } = await restart(t)
    await Promise.all(['one', 'two', 'three'].map(id => heartbeat(browser(), id)))
    assert.deepEqual([gradio.stats().sessions, gradio.stats().pages], [1, 3])
  })

  it('only for a short time', async t => {
    const { gradio, browser, advance } = await restart(t)
    await idOf(browser())
    await idle(gradio)
    await advance(31)
    await heartbeat(browser(), 'page')
    assert.equal(gradio.stats().sessions, 2)
  })

  it('other browsers do not join', async t => {
    const { gradio, browser } = await restart(t)
    await idOf(browser())
    await heartbeat(browser(), 'page', { headers: { 'user-agent': 'another' } })
    const other = browser()
    for (const name of other.cookies.keys()) other.cookies.set(name, `s%3A${'b'.repeat(32)}.signature`)
    await heartbeat(other, 'other')
    assert.equal(gradio.stats().sessions, 3)
  })

  it('a session that has ended is not joined', async t => {
    const { gradio, browser } = await restart(t)
    const id = await idOf(browser())
    await gradio.endSession(id)
    await heartbeat(browser(), 'page')
    assert.deepEqual([gradio.stats().sessions, gradio.stats().pages], [1, 1])
    assert.notEqual(gradio.sessions()[0]?.id, id)
  })
}

forEachExpress((_name, express) => {
  const restart = async (t: Parameters<typeof site>[0]): Promise<Restarted> => {
    const { gradio, clock, visitor } = await site(t, express, { routes })
    const browser = () => {
      const user = visitor()
      user.cookies.set('connect.sid', STALE)
      return user
    }
    return { gradio, browser, advance: seconds => clock.advance(seconds) }
  }
  joins(restart)

  it('a credential from before a login does not join the session after it', async t => {
    const { gradio, browser } = await restart(t)
    const user = browser()
    await idOf(user, '/write')
    const [page, late] = [browser(), browser()]
    for (const one of [page, late]) one.cookies.set('connect.sid', String(user.cookies.get('connect.sid')))
    const id = await idOf(user, '/login', POST)
    await heartbeat(page, 'page')
    assert.equal(gradio.session(id)?.pages, 0)
    assert.notEqual(await idOf(late), id)
  })

  it('a login with a stale credential starts a session that is not joined', async t => {
    const { gradio, browser } = await restart(t)
    const id = await idOf(browser(), '/login', POST)
    await heartbeat(browser(), 'page')
    assert.equal(gradio.session(id)?.pages, 0)
  })

  it('the session of a request that has joined stays that of the heartbeat when it writes its framework session', async t => {
    const { gradio, browser } = await restart(t)
    const [requesting, page] = [browser(), browser()]
    await heartbeat(page, 'page')
    const id = await idOf(requesting, '/write')
    assert.equal(gradio.session(id)?.pages, 1)
    // Its cookie now refers to a framework session that is new here.
    assert.notEqual(requesting.cookies.get('connect.sid'), STALE)
    assert.notEqual(await idOf(requesting), id)
    assert.equal(await idOf(page), id)
  })
})

forEachKoa(Koa => {
  joins(async t => {
    const store = new KoaStore()
    const { gradio, clock, visitor } = await koaSite(t, Koa, {
      koaSession: inStore({}, store),
      routes: {
        'GET /id': ctx => {
          ctx.body = ctx.gradioState.id
        },
      },
    })
    const browser = () => {
      const user = visitor()
      user.cookies.set('koa.sess', STALE)
      return user
    }
    return { gradio, browser, advance: seconds => clock.advance(seconds) }
  })
})
