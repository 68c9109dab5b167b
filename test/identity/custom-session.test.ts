// Sessions of other middleware than express-session: the token is stored in `req.session`.

import assert from 'node:assert/strict'
import { it } from 'node:test'
import cookieSession from 'cookie-session'
import type { Express, RequestHandler } from 'express'
import type { Visitor } from '../../lib/testing/index.ts'
import { customSession } from '../support/http/custom-session.ts'
import { forEachExpress, idle, json, site } from '../support/http/express.ts'

const POST = { method: 'POST' }

function routes(app: Express) {
  app.get('/id', (req, res) => res.json({ id: req.gradioState.id }))
  app.get('/nothing', (_req, res) => res.send('nothing'))
  app.get('/session', (req, res) => res.json(req.session ?? null))
  app.post('/clear', (req, res) => {
    Object.assign(req, { session: null })
    res.end()
  })
}

const idOf = async (user: Visitor) => (await json<{ id: string }>(user.fetch('/id'))).body.id

const freshEachTime: RequestHandler = (req, _res, next) => {
  Object.assign(req, { session: {} })
  next()
}

forEachExpress((_name, express) => {
  const withSession = (...before: RequestHandler[]) => ({ session: false as const, before, routes })
  const signed = () => cookieSession({ secret: 'a secret' })

  it('cookie-session stores the token, and the library sets no cookie', async t => {
    const { gradio, visitor } = await site(t, express, withSession(signed()))
    const user = visitor()
    const id = await idOf(user)
    assert.deepEqual([...user.cookies.keys()].sort(), ['session', 'session.sig'])
    assert.equal(await idOf(user), id)
    const page = await user.openPage()
    assert.equal(await page.close(), 204)
    assert.equal(await idOf(user), id)
    assert.equal(gradio.stats().sessions, 1)
    const { body } = await json<{ gradioState: { token: string } }>(user.fetch('/session'))
    assert.match(body.gradioState.token, /^m\.[\w-]{22}$/)
    assert.ok(!body.gradioState.token.includes(id), 'the id of the session is no credential')
  })

  it('with cookie-session a request that does not use the state gets no cookie', async t => {
    const { gradio, visitor } = await site(t, express, withSession(signed()))
    const user = visitor()
    await user.fetch('/nothing')
    assert.deepEqual([user.cookies.size, gradio.stats().sessions], [0, 0])
  })

  it('with cookie-session a first page is one session from its heartbeat on', async t => {
    const { gradio, visitor } = await site(t, express, withSession(signed()))
    const user = visitor()
    await user.openPage()
    const id = await idOf(user)
    assert.equal(gradio.sessions()[0]?.id, id)
    assert.equal(gradio.stats().sessions, 1)
  })

  it('a cleared cookie-session is a logout: the session is lost', async t => {
    const { visitor } = await site(t, express, withSession(signed()))
    const user = visitor()
    const first = await idOf(user)
    await user.fetch('/clear', POST)
    const second = await idOf(user)
    assert.notEqual(second, first)
    assert.equal(await idOf(user), second)
  })

  it('a cookie-session that another server signed with the same secret starts a session of its own', async t => {
    const one = await site(t, express, withSession(signed()))
    const user = one.visitor()
    const first = await idOf(user)
    await one.gradio.close()
    const two = await site(t, express, withSession(signed()))
    const same = two.visitor()
    for (const [name, value] of user.cookies) same.cookies.set(name, value)
    const second = await idOf(same)
    assert.notEqual(second, first)
    assert.equal(await idOf(same), second)
  })

  it('an unknown session that persists stores the token', async t => {
    const { gradio, visitor } = await site(t, express, withSession(customSession()))
    const user = visitor()
    const id = await idOf(user)
    assert.equal(await idOf(user), id)
    // It is known to persist by now: from here on the library sets no cookie.
    const other = visitor()
    const otherId = await idOf(other)
    assert.notEqual(otherId, id)
    assert.deepEqual([...other.cookies.keys()], ['kept'])
    assert.equal(await idOf(other), otherId)
    assert.equal(gradio.stats().sessions, 2)
  })

  it('a logout in an unknown session that persists ends the identity', async t => {
    const { visitor } = await site(t, express, withSession(customSession()))
    const user = visitor()
    const first = await idOf(user)
    assert.equal(await idOf(user), first)
    await user.fetch('/logout', POST)
    const second = await idOf(user)
    assert.notEqual(second, first)
    assert.equal(await idOf(user), second)
  })

  it("the library's own cookie replaces an unknown session that does not persist", async t => {
    const { gradio, clock, visitor } = await site(t, express, withSession(freshEachTime))
    const user = visitor()
    const id = await idOf(user)
    assert.deepEqual([...user.cookies.keys()], ['gradio_state'])
    for (let times = 0; times < 3; times++) assert.equal(await idOf(user), id)
    const page = await user.openPage()
    assert.equal(await idOf(user), id)
    await page.close()
    assert.equal(gradio.stats().sessions, 1)
    await idle(gradio)
    await clock.advance('1h')
    assert.equal(gradio.stats().sessions, 0)
  })

  it("data of the app under the library's name is not a token", async t => {
    const { gradio, visitor } = await site(t, express, {
      ...withSession((req, _res, next) => {
        Object.assign(req, { session: { gradioState: { token: 'chosen by the app' } } })
        next()
      }),
    })
    const ids = [await idOf(visitor()), await idOf(visitor())]
    assert.notEqual(ids[0], ids[1])
    assert.equal(gradio.stats().sessions, 2)
  })
})
