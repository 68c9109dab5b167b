// Parallel requests of a browser must not each start a session: at the latest when the page has connected.

import assert from 'node:assert/strict'
import { it } from 'node:test'
import cookieSession from 'cookie-session'
import type { Express } from 'express'
import type { Visitor } from '../../lib/testing/index.ts'
import { customSession } from '../support/http/custom-session.ts'
import { forEachExpress, json, type SiteOptions, site } from '../support/http/express.ts'
import { RecordingStore } from '../support/stores/recording-store.ts'

const POST = { method: 'POST' }

/** Each is a way to store the token; the stores are slow, so that requests overlap. */
const sessionKinds: Record<string, () => SiteOptions> = {
  'express-session': () => ({ session: { store: new RecordingStore(15) } }),
  'express-session, saveUninitialized': () => ({
    session: { store: new RecordingStore(15), saveUninitialized: true },
  }),
  'express-session, resave, rolling': () => ({
    session: { store: new RecordingStore(15), resave: true, rolling: true },
  }),
  'the own cookie': () => ({ session: false }),
  'cookie-session': () => ({ session: false, before: [cookieSession({ secret: 'a secret' })] }),
  'an unknown session that is kept': () => ({ session: false, before: [customSession()] }),
  'an unknown session that is not kept': () => ({
    session: false,
    before: [
      (req, _res, next) => {
        Object.assign(req, { session: {} })
        next()
      },
    ],
  }),
}

function routes(app: Express) {
  app.get('/id', (req, res) => res.json({ id: req.gradioState.id }))
  app.post('/login', (req, res) => {
    req.session.user = 'ann'
    res.end()
  })
  app.get('/page', async (req, res) => {
    await req.gradioState.establish()
    res.type('html').send('<h1>Page</h1>')
  })
  app.get('/stream', async (req, res) => {
    await req.gradioState.establish()
    res.type('html').write('<h1>')
    const { id } = req.gradioState
    setTimeout(() => res.end(id), 80)
  })
}

async function fiveIds(user: Visitor): Promise<Set<string>> {
  const answers = Array.from({ length: 5 }, () => json<{ id: string }>(user.fetch('/id')))
  return new Set((await Promise.all(answers)).map(({ body }) => body.id))
}

forEachExpress((_name, express) => {
  for (const [kind, options] of Object.entries(sessionKinds)) {
    it(`five at once right after connect() are one session, with ${kind}`, async t => {
      const { gradio, visitor } = await site(t, express, { ...options(), routes })
      const user = visitor()
      await user.fetch('/gradio_api/heartbeat/page?n=1', POST)
      assert.equal((await fiveIds(user)).size, 1)
      assert.equal((await fiveIds(user)).size, 1)
      assert.equal(gradio.stats().sessions, 1)
    })

    it(`five at once after establish() are one session, with ${kind}`, async t => {
      const { gradio, visitor } = await site(t, express, { ...options(), routes })
      const user = visitor()
      await user.fetch('/page')
      assert.equal((await fiveIds(user)).size, 1)
      assert.equal(gradio.stats().sessions, 1)
    })

    it(`a streamed response whose handler awaited establish() is one session, with ${kind}`, async t => {
      const { gradio, visitor } = await site(t, express, { ...options(), routes })
      const user = visitor()
      const stream = await user.fetch('/stream')
      const ids = await fiveIds(user)
      assert.equal(ids.size, 1)
      assert.equal(await stream.text(), `<h1>${[...ids][0]}`)
      assert.equal(gradio.stats().sessions, 1)
    })
  }

  for (const kind of Object.keys(sessionKinds).filter(name => name.startsWith('express-session'))) {
    it(`five at once on a framework session without a token are one session, with ${kind}`, async t => {
      const { gradio, visitor } = await site(t, express, { ...sessionKinds[kind]?.(), routes })
      const user = visitor()
      await user.fetch('/login', POST)
      assert.equal(user.cookies.size, 1)
      assert.equal(gradio.stats().sessions, 0)
      const ids = await fiveIds(user)
      assert.equal(ids.size, 1)
      assert.deepEqual(await fiveIds(user), ids)
      assert.equal(gradio.stats().sessions, 1)
    })
  }

  it('five tabs that connect at once on a framework session without a token are one session', async t => {
    const { gradio, visitor } = await site(t, express, { ...sessionKinds['express-session']?.(), routes })
    const user = visitor()
    await user.fetch('/login', POST)
    await Promise.all(Array.from({ length: 5 }, () => user.openPage()))
    assert.deepEqual([gradio.stats().sessions, gradio.stats().pages], [1, 5])
  })

  for (const kind of ['express-session', 'the own cookie']) {
    it(`five at once after the session has ended share one new session, with ${kind}`, async t => {
      const { gradio, visitor } = await site(t, express, { ...sessionKinds[kind]?.(), routes })
      const user = visitor()
      await user.fetch('/page')
      const [old] = await fiveIds(user)
      await gradio.endSession(old as string)
      const ids = await fiveIds(user)
      assert.deepEqual([ids.size, ids.has(old as string)], [1, false])
      assert.equal(gradio.stats().sessions, 1)
    })
  }
})
