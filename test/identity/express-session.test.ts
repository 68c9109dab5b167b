import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { it } from 'node:test'
import type { Express } from 'express'
import session from 'express-session'
import createMemoryStore from 'memorystore'
import type { Visitor } from '../../lib/testing/index.ts'
import { forEachExpress, idle, json, site } from '../support/http/express.ts'
import { RecordingStore } from '../support/stores/recording-store.ts'

declare module 'express-session' {
  interface SessionData {
    user: string
    gradioState: { token: string }
  }
}

const POST = { method: 'POST' }

function routes(app: Express) {
  app.get('/nothing', (_req, res) => res.send('nothing'))
  app.get('/id', (req, res) => res.json({ id: req.gradioState.id }))
  app.post('/login', (req, res) => {
    req.session.user = 'ann'
    res.end()
  })
  app.post('/logout', (req, res, next) => {
    req.session.destroy(error => (error ? next(error) : res.end()))
  })
  app.post('/unset', (req, res) => {
    delete (req as { session?: unknown }).session
    res.end()
  })
}

const idOf = async (user: Visitor) => (await json<{ id: string }>(user.fetch('/id'))).body.id

/** The id in the signed cookie `s:<id>.<signature>`. */
function sessionIdOf(user: Visitor): string {
  return decodeURIComponent(user.cookies.get('connect.sid') ?? '')
    .slice(2)
    .split('.')[0] as string
}

forEachExpress((_name, express) => {
  it('the token is the hash of the session id, and is kept in the session', async t => {
    const store = new RecordingStore()
    const { visitor } = await site(t, express, { session: { store }, routes })
    const user = visitor()
    const id = await idOf(user)
    const sid = sessionIdOf(user)
    const token = createHash('sha256').update(sid).digest().toString('base64url', 16)
    assert.deepEqual((await store.stored())[sid]?.gradioState, { token })
    assert.notEqual(id, token, 'the id of the session is no credential')
    assert.deepEqual([...user.cookies.keys()], ['connect.sid'], 'no cookie of our own')
  })

  it('the token is written at the first use, and not again', async t => {
    const store = new RecordingStore()
    const { visitor } = await site(t, express, { session: { store }, routes })
    const user = visitor()
    const id = await idOf(user)
    assert.deepEqual(store.writes(), ['set'])
    assert.equal(await idOf(user), id)
    assert.deepEqual(store.writes(), ['touch'], 'what express-session does for each request')
  })

  it('a request that does not use the state leaves no record, no cookie and no session', async t => {
    const store = new RecordingStore()
    const { gradio, visitor } = await site(t, express, { session: { store }, routes })
    const user = visitor()
    await user.fetch('/nothing')
    assert.deepEqual([store.calls, user.cookies.size, gradio.stats().sessions], [[], 0, 0])
    await user.fetch('/login', POST)
    store.writes()
    await user.fetch('/nothing')
    assert.deepEqual([store.writes(), gradio.stats().sessions], [['touch'], 0])
  })

  for (const saveUninitialized of [false, true]) {
    it(`one session for one framework session, with saveUninitialized: ${saveUninitialized}`, async t => {
      const store = new RecordingStore()
      const { gradio, visitor } = await site(t, express, { session: { store, saveUninitialized }, routes })
      const user = visitor()
      await user.fetch('/nothing')
      assert.equal(user.cookies.size, saveUninitialized ? 1 : 0)
      assert.equal(gradio.stats().sessions, 0)
      const id = await idOf(user)
      assert.equal(await idOf(user), id)
      await user.openPage()
      assert.equal(await idOf(user), id)
      assert.notEqual(await idOf(visitor()), id)
      assert.equal(Object.keys(await store.stored()).length, 2)
    })
  }

  it('another kind of store works as well', async t => {
    const MemoryStore = createMemoryStore(session)
    const { visitor } = await site(t, express, { session: { store: new MemoryStore({}) }, routes })
    const user = visitor()
    const id = await idOf(user)
    await user.openPage()
    assert.equal(await idOf(user), id)
  })

  it('the same cookie starts a new session after the end of the first', async t => {
    const { gradio, clock, visitor } = await site(t, express, { routes })
    const user = visitor()
    const first = await idOf(user)
    await idle(gradio)
    await clock.advance('1h')
    assert.deepEqual(gradio.sessions(), [])
    const second = await idOf(user)
    assert.notEqual(second, first)
    assert.equal(await idOf(user), second)
    assert.equal(await gradio.endSession(second), true)
    assert.notEqual(await idOf(user), second)
  })

  it('after a logout the user has another session', async t => {
    const { visitor } = await site(t, express, { routes })
    const user = visitor()
    const first = await idOf(user)
    await user.fetch('/logout', POST)
    const second = await idOf(user)
    assert.notEqual(second, first)
    assert.equal(await idOf(user), second)
  })

  it('a cookie with a forged id or signature is ignored', async t => {
    const { gradio, visitor } = await site(t, express, { routes })
    const user = visitor()
    const id = await idOf(user)
    const real = user.cookies.get('connect.sid') as string
    const forged = [real.slice(0, -3), `${real}x`, real.replace('s%3A', 's%3Ax'), 's%3Aguess.guess', 'guess']
    for (const cookie of forged) {
      const stranger = visitor()
      stranger.cookies.set('connect.sid', cookie)
      assert.equal((await stranger.fetch('/nothing')).status, 200)
      assert.notEqual(await idOf(stranger), id)
      assert.notEqual(stranger.cookies.get('connect.sid'), cookie)
    }
    assert.equal(gradio.stats().sessions, 1 + forged.length)
  })

  it("unset: 'destroy' destroys a session that the app unsets, and nothing on the library's routes", async t => {
    const store = new RecordingStore()
    const { visitor } = await site(t, express, { session: { store, unset: 'destroy' }, routes })
    const user = visitor()
    const id = await idOf(user)
    const page = await user.openPage()
    await page.beat()
    await page.close()
    await user.fetch('/gradio_api/client.js')
    assert.equal(store.writes().includes('destroy'), false)
    assert.equal(await idOf(user), id)
    await user.fetch('/unset', POST)
    assert.equal(store.writes().includes('destroy'), true)
    assert.notEqual(await idOf(user), id)
  })
})
