// What is true on Koa for every kind of session.

import assert from 'node:assert/strict'
import { it } from 'node:test'
import type { RequestState } from '../../lib/index.ts'
import { until } from '../support/http/express.ts'
import { firstText, forEachKoa, get, koaSite, set } from '../support/http/koa.ts'
import { KOA_SESSIONS } from '../support/http/koa-sessions.ts'
import { heartbeat } from '../support/pages/handshake.ts'

const ALIVE = 'data: ALIVE\n\n'

forEachKoa(Koa => {
  for (const [name, koaSession] of Object.entries(KOA_SESSIONS)) {
    it(`a user keeps a value over several requests, and no other user sees it, with ${name}`, async t => {
      const { gradio, visitor, failures } = await koaSite(t, Koa, { koaSession: koaSession() })
      const [user, other] = [visitor(), visitor()]
      const { id } = await set(user, 'mine')
      await set(other, 'theirs')
      assert.deepEqual([...user.cookies.keys()].sort(), koaSession().cookies)
      const { id: later, value } = await get(user)
      assert.deepEqual([later, value], [id, 'mine'])
      assert.equal((await get(other)).value, 'theirs')
      assert.deepEqual([gradio.stats().sessions, failures], [2, []])
    })

    it(`ctx.gradioState is that of ctx.req, with ${name}`, async t => {
      const { visitor } = await koaSite(t, Koa, {
        koaSession: koaSession(),
        routes: {
          'GET /same': ctx => {
            const { gradioState } = ctx.req as unknown as { gradioState: RequestState }
            ctx.body = { same: ctx.gradioState === gradioState, kind: typeof ctx.gradioState.get }
          },
        },
      })
      assert.deepEqual(await (await visitor().fetch('/same')).json(), { same: true, kind: 'function' })
    })

    it(`a first heartbeat sets the cookie, and later requests find its session, with ${name}`, async t => {
      const { gradio, visitor, failures, settled } = await koaSite(t, Koa, { koaSession: koaSession() })
      const user = visitor()
      const { status, ticket } = await heartbeat(user, 'page')
      assert.equal(status, 200)
      assert.match(ticket, /^[\w-]{100,500}$/)
      const cookies = [...user.cookies.keys()].filter(name => name !== 'gradio_state_page')
      assert.deepEqual(cookies.sort(), koaSession().cookies)
      const [session] = gradio.sessions()
      assert.equal((await set(user, 'mine')).id, session?.id)
      assert.equal((await heartbeat(user, 'page')).status, 200)
      assert.equal((await get(user)).id, session?.id)
      await settled()
      assert.deepEqual([gradio.stats().sessions, gradio.stats().pages, failures], [1, 1, []])
    })

    it(`a page opens a WebSocket, and leaves, with ${name}`, async t => {
      const { gradio, visitor, log, pass, failures, settled } = await koaSite(t, Koa, {
        koaSession: koaSession(),
      })
      const user = visitor()
      const page = await user.openPage()
      assert.equal((await get(user)).id, gradio.sessions()[0]?.id)
      await pass(100)
      assert.deepEqual([gradio.stats().pages, log], [1, []])
      assert.equal(await page.close(), 204)
      await pass(2)
      assert.deepEqual(log, ['unload disconnected @102'])
      await settled()
      assert.deepEqual(failures, [])
    })

    it(`a long response of the app counts as a page, with ${name}`, async t => {
      const { gradio, visitor, log, pass } = await koaSite(t, Koa, {
        koaSession: koaSession(),
        routes: gradio => ({
          'GET /long': async ctx => {
            await ctx.gradioState.establish()
            gradio.track(ctx.req, ctx.res)
            ctx.respond = false
            ctx.res.write(ALIVE)
          },
        }),
      })
      const aborting = new AbortController()
      const answer = await visitor().fetch('/long', { signal: aborting.signal })
      assert.equal(await firstText(answer), ALIVE)
      assert.equal(gradio.stats().pages, 1)
      await pass(100)
      assert.deepEqual(log, [])
      aborting.abort()
      await until(() => gradio.stats().open === 0, 'that it has closed')
      await pass(4)
      assert.match(log.join(), /^unload disconnected @10[23]/)
    })

    it(`the client script is served, with ${name}`, async t => {
      const { visitor, failures, settled } = await koaSite(t, Koa, { koaSession: koaSession() })
      const user = visitor()
      const answer = await user.fetch('/gradio_api/client.js')
      assert.equal(answer.status, 200)
      assert.match(await answer.text(), /\bas connect\b/)
      assert.equal((await user.fetch('/gradio_api/unknown')).status, 404)
      await settled()
      assert.deepEqual(failures, [])
    })

    it(`the session starts anew with the same cookie, with ${name}`, async t => {
      const { gradio, visitor, log, pass } = await koaSite(t, Koa, { koaSession: koaSession() })
      const user = visitor()
      const { id } = await set(user, 'mine')
      await pass(3600)
      assert.deepEqual(log, [
        'unload disconnected @2',
        'delete disconnected @3600',
        'ended disconnected @3600',
      ])
      const next = await get(user)
      assert.notEqual(next.id, id)
      assert.equal(next.value, undefined)
      assert.equal((await get(user)).id, next.id)
      assert.equal(gradio.stats().sessions, 1)
    })
  }

  // Those in the cookie can't agree; with them, an app awaits a page's connect() first.
  for (const name of Object.keys(KOA_SESSIONS).filter(name => !/cookie|no session/.test(name))) {
    it(`parallel first uses of one framework session agree, with ${name}`, async t => {
      const { gradio, visitor } = await koaSite(t, Koa, {
        koaSession: KOA_SESSIONS[name]!(),
        routes: {
          'POST /greet': ctx => {
            const session = ctx.session ?? (ctx.req as { session?: object }).session
            Object.assign(session as object, { user: 'ann' })
            ctx.body = {}
          },
        },
      })
      const user = visitor()
      await user.fetch('/greet', { method: 'POST' })
      assert.equal(gradio.stats().sessions, 0)
      const replies = await Promise.all([
        get(user),
        set(user, 'mine'),
        get(user),
        heartbeat(user, 'page'),
        get(user),
      ])
      assert.deepEqual(new Set(replies.map(({ status }) => status)), new Set([200]))
      const [session, ...others] = gradio.sessions()
      assert.deepEqual(others, [])
      assert.equal((await get(user)).id, session?.id)
    })
  }
})
