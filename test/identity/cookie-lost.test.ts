// Browsers that don't return the cookie of their session.

import assert from 'node:assert/strict'
import { it, type TestContext } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import express, { type RequestHandler } from 'express'
import { MemoryStore, type SessionOptions } from 'express-session'
import type { GradioStateOptions } from '../../lib/index.ts'
import type { Visitor } from '../../lib/testing/index.ts'
import { type Site, site } from '../support/http/express.ts'
import { dial, heartbeat } from '../support/pages/handshake.ts'

interface Setting {
  readonly session?: Partial<SessionOptions> | false
  readonly options?: GradioStateOptions
  /** The app's setting `trust proxy`. */
  readonly trusts?: boolean
}

/** An app, and the texts of the warnings about lost cookies. */
async function place(t: TestContext, { session = false, options = {}, trusts = false }: Setting = {}) {
  const texts: string[] = []
  const listen = (warning: Error & { code?: string }) => {
    if (warning.code === 'GRADIO_STATE_COOKIE_LOST') texts.push(warning.message)
  }
  process.on('warning', listen)
  t.after(() => process.off('warning', listen))
  const trust: RequestHandler = (req, _res, next) => {
    req.app.set('trust proxy', trusts)
    next()
  }
  const served = await site(t, express, {
    session,
    options,
    before: [trust],
    routes(app) {
      app.get('/use', (req, res) => res.json(req.gradioState.id))
    },
  })
  return {
    served,
    async warnings() {
      await turn()
      return texts
    },
  }
}

const SCRIPT = { 'gradio-state': 'page' }
const HTTPS = { 'x-forwarded-proto': 'https' }

let pages = 0

/** The script of a page that stores cookies, or blocks them: a heartbeat, and the socket. */
async function page(t: TestContext, served: Site, headers = {}, user?: Visitor): Promise<void> {
  const id = `page-${++pages}`
  const { ticket } = await heartbeat(user ?? served.visitor(), id, { headers: { ...SCRIPT, ...headers } })
  const cookie = [...(user?.cookies ?? [])].map(pair => pair.join('=')).join('; ')
  assert.equal((await dial(t, served, id, { ticket, headers: cookie === '' ? {} : { cookie } })).status, 101)
}

/** A page without a socket: heartbeats alone. */
async function beats(user: Visitor, headers = {}): Promise<void> {
  const id = `page-${++pages}`
  for (let times = 0; times < 3; times++) await heartbeat(user, id, { headers: { ...SCRIPT, ...headers } })
}

it('cookie.secure behind a proxy that is not trusted: one warning, with the fix', async t => {
  const { served, warnings } = await place(t, { session: { cookie: { secure: true } } })
  const user = served.visitor()
  await page(t, served, HTTPS, user)
  assert.match(user.cookies.get('gradio_state_page') ?? '', /./)
  assert.equal((await warnings()).length, 1)
  assert.match((await warnings())[0] ?? '', /app\.set\('trust proxy', 1\)/)
  await page(t, served, HTTPS, served.visitor())
  assert.equal((await warnings()).length, 1)
})

it('the same without a WebSocket', async t => {
  const { served, warnings } = await place(t, { session: { cookie: { secure: true } } })
  await beats(served.visitor(), HTTPS)
  assert.match((await warnings())[0] ?? '', /trust proxy/)
})

it('behind a proxy that is trusted: nothing', async t => {
  const { served, warnings } = await place(t, { session: { cookie: { secure: true } }, trusts: true })
  for (let times = 0; times < 5; times++) {
    await page(t, served, HTTPS, served.visitor())
    await beats(served.visitor(), HTTPS)
  }
  assert.deepEqual(await warnings(), [])
})

it('a Secure cookie over plain http', async t => {
  const session = await place(t, { session: { cookie: { secure: true } } })
  await page(t, session.served, {}, session.served.visitor())
  assert.match((await session.warnings())[0] ?? '', /over http/)
  const own = await place(t, { options: { cookie: { secure: true } } })
  // It drops the cookie, as browsers do.
  await page(t, own.served)
  assert.match((await own.warnings()).at(-1) ?? '', /over http/)
})

it("the library's own Secure cookie behind a proxy is nothing to warn of: it is set, and comes back", async t => {
  const { served, warnings } = await place(t, { options: { cookie: { secure: true } } })
  for (let times = 0; times < 5; times++) await page(t, served, HTTPS, served.visitor())
  assert.deepEqual(await warnings(), [])
})

it('frames of another site', async t => {
  const { served, warnings } = await place(t)
  await page(t, served, { 'sec-fetch-storage-access': 'none' })
  assert.match((await warnings())[0] ?? '', /frames of another site/)
})

it('browsers that block cookies: a warning when it is three of them, and none has returned a cookie', async t => {
  const { served, warnings } = await place(t)
  for (let times = 0; times < 2; times++) await page(t, served)
  assert.deepEqual(await warnings(), [])
  await page(t, served)
  assert.match((await warnings())[0] ?? '', /may block cookies/)
})

it('one browser among others that blocks cookies: nothing', async t => {
  const { served, warnings } = await place(t)
  await page(t, served, {}, served.visitor())
  for (let times = 0; times < 5; times++) {
    await page(t, served)
    await page(t, served, {}, served.visitor())
  }
  assert.deepEqual(await warnings(), [])
})

it('clients that keep no cookies and run no script: nothing', async t => {
  const { served, warnings } = await place(t, { session: { cookie: { secure: true } } })
  for (let times = 0; times < 5; times++) {
    await (await served.visitor().fetch('/use')).arrayBuffer()
    for (let beats = 0; beats < 2; beats++) await heartbeat(served.visitor(), 'probe', { headers: HTTPS })
  }
  assert.deepEqual(await warnings(), [])
})

it('a logout that removes the cookie, and a session that the store has lost: nothing', async t => {
  const store = new MemoryStore()
  const { served, warnings } = await place(t, { session: { store, cookie: { secure: false } } })
  for (let times = 0; times < 5; times++) {
    const user = served.visitor()
    const id = `logged-out-${times}`
    await heartbeat(user, id, { headers: SCRIPT })
    await new Promise(resolve => store.clear(resolve))
    for (const { id } of served.gradio.sessions()) await served.gradio.endSession(id)
    user.cookies.clear()
    await heartbeat(user, id, { headers: SCRIPT })
  }
  assert.deepEqual(await warnings(), [])
})
