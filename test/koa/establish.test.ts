// Responses that are sent before koa-session would save its session and set its cookie.

import assert from 'node:assert/strict'
import { PassThrough } from 'node:stream'
import { it } from 'node:test'
import type { Context } from 'koa'
import type { GradioStateError } from '../../lib/index.ts'
import { firstText, forEachKoa, get, type KoaRoutes, koaSite, sessionOf, set } from '../support/http/koa.ts'
import { inStore, KOA_SESSIONS } from '../support/http/koa-sessions.ts'

const bypass = (ctx: Context) => {
  ctx.respond = false
  ctx.res.writeHead(200, { 'Content-Type': 'text/plain' })
  ctx.res.flushHeaders()
}

const routes: KoaRoutes = {
  'GET /bypassing': async ctx => {
    await ctx.gradioState.establish()
    bypass(ctx)
    ctx.res.write(`${ctx.gradioState.id}\n`)
    ctx.req.socket.once('close', () => ctx.res.end())
  },
  'GET /streaming': async ctx => {
    await ctx.gradioState.establish()
    const stream = new PassThrough()
    stream.write(`${ctx.gradioState.id}\n`)
    ctx.type = 'text/plain'
    ctx.body = stream
  },
  'GET /changing': async ctx => {
    await ctx.gradioState.establish()
    if (ctx.session) sessionOf(ctx).user = 'ann'
    ctx.body = ctx.gradioState.id
  },
  'GET /late': async ctx => {
    bypass(ctx)
    try {
      ctx.res.end(ctx.gradioState.id)
    } catch (error) {
      ctx.res.end((error as GradioStateError).code)
    }
  },
  'GET /user': ctx => {
    ctx.body = { user: sessionOf(ctx).user }
  },
}

forEachKoa(Koa => {
  for (const [name, koaSession] of Object.entries(KOA_SESSIONS)) {
    // koa-generic-session sets no cookie before the end, so an app has to call its saveSession().
    const isEarly = !name.includes('generic')

    for (const path of isEarly ? ['/bypassing', '/streaming'] : []) {
      it(`after establish() a stream sets the cookie, and the next request finds its session, ${path} with ${name}`, async t => {
        const { gradio, visitor, failures, settled } = await koaSite(t, Koa, {
          koaSession: koaSession(),
          routes,
        })
        const user = visitor()
        const aborting = new AbortController()
        const answer = await user.fetch(path, { signal: aborting.signal })
        assert.equal(answer.status, 200)
        assert.deepEqual([...user.cookies.keys()].sort(), koaSession().cookies)
        const id = (await firstText(answer)).trim()
        // While it is being sent.
        assert.equal((await get(user)).id, id)
        aborting.abort()
        await settled()
        assert.equal(gradio.stats().sessions, 1)
        assert.deepEqual(failures.filter(isAboutHeaders), [])
      })
    }

    it(`a first use after the headers is rejected, and a later one is not, with ${name}`, async t => {
      const { gradio, visitor, failures, settled } = await koaSite(t, Koa, {
        koaSession: koaSession(),
        routes,
      })
      const user = visitor()
      if (isEarly) {
        assert.equal(await (await user.fetch('/late')).text(), 'HEADERS_SENT')
        assert.equal(gradio.stats().sessions, 0)
      }
      const { id } = await set(user, 'mine')
      assert.equal(await (await user.fetch('/late')).text(), id)
      await settled()
      if (isEarly) assert.deepEqual(failures, [])
    })
  }

  it('data that an app stores in its session after establish() is saved', async t => {
    const koaSession = inStore()
    const { visitor, failures } = await koaSite(t, Koa, { koaSession, routes })
    const user = visitor()
    const id = await (await user.fetch('/changing')).text()
    assert.deepEqual(koaSession.store.writes(), ['set', 'set'])
    assert.deepEqual(await (await user.fetch('/user')).json(), { user: 'ann' })
    assert.equal((await get(user)).id, id)
    assert.deepEqual([koaSession.store.writes(), failures], [[], []])
  })

  it('a store that can not save makes establish() fail, and no session remains', async t => {
    const koaSession = inStore()
    const { visitor, failures } = await koaSite(t, Koa, { koaSession, routes })
    koaSession.store.trouble = method => (method === 'set' ? new Error('away') : undefined)
    const user = visitor()
    assert.equal((await user.fetch('/changing')).status, 500)
    assert.equal(user.cookies.size, 0)
    assert.ok(failures.every(error => error.message === 'away'))
    koaSession.store.trouble = () => undefined
    assert.equal((await user.fetch('/changing')).status, 200)
  })
})

function isAboutHeaders({ code, message }: { code: string; message: string }): boolean {
  return code === 'ERR_HTTP_HEADERS_SENT' || /headers/i.test(message)
}
