// A page is in the session that the cookies of its browser lead to, and moves when they lead to another one.

import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { BrowserContext, Page } from 'playwright-core'
import { isConnected, until, useBrowser } from '../support/browser/browser.ts'
import { proxy } from '../support/browser/proxy.ts'
import { type RestartableApp, restartableApp, type SessionKind } from '../support/browser/restartable-app.ts'
import { serve } from '../support/http/express.ts'
import { deferred } from '../support/sessions/harness.ts'

const KINDS: SessionKind[] = ['own cookie', 'express-session', 'koa-session']
/** Two trustworthy origins, and one without the features of secure contexts. */
const ORIGINS = [
  { protocol: 'http:', host: '127.0.0.1' },
  { protocol: 'http:', host: 'app.test' },
  { protocol: 'https:', host: 'app.test' },
] as const
/** Longer than it takes until a session is unloaded whose page has left without a goodbye (3.5 s), in milliseconds. */
const UNLOAD_PASSES = 4_500

/** Requests a route of the app, as a script of the page does. */
function request(tab: Page, path: string): Promise<string> {
  return tab.evaluate(async path => (await fetch(path)).json(), path)
}

async function open(context: BrowserContext, app: RestartableApp, origin: string): Promise<Page> {
  const tab = await context.newPage()
  const pages = app.gradio.stats().pages
  await tab.goto(`${origin}:${app.port}/`)
  await until(() => app.gradio.stats().pages === pages + 1)
  // Then it has its cookie.
  await until(() => isConnected(tab))
  return tab
}

/** Waits until that session is the only one with pages, and until unloads that are due have run. */
async function settles(app: RestartableApp, id: string, pages = 1): Promise<void> {
  await until(
    () => String(app.openSessions()) === id && app.gradio.session(id)?.pages === pages,
    `${id} is open`,
  )
  await sleep(UNLOAD_PASSES)
  assert.deepEqual(app.openSessions(), [id])
  assert.ok(!app.unloaded.includes(id), 'the session in view was unloaded')
}

const browser = useBrowser()

it('a page without WebSockets moves when its cookies lead to another session', async t => {
  const app = await restartableApp(t, 'own cookie')
  const context = await browser.newContext()
  await context.addInitScript('delete window.WebSocket')
  const tab = await open(context, app, 'http://127.0.0.1')
  const errors: Error[] = []
  tab.on('pageerror', error => errors.push(error))
  await request(tab, '/use')
  await context.clearCookies()
  const id = await request(tab, '/use')
  // Sooner than the heartbeats of its former session are missed, which takes 95 s.
  await until(() => String(app.openSessions()) === id, 'only the new session is open', 60)
  assert.deepEqual(errors, [])
  await context.close()
})

it('a page that moves while its socket opens leaves its former session', async t => {
  const app = await restartableApp(t, 'own cookie')
  const { promise: held, resolve: release } = deferred()
  const between = await proxy(app.port, { onUpgrade: () => held })
  t.after(() => between.close())
  const context = await browser.newContext()
  const tab = await context.newPage()
  await tab.goto(`http://127.0.0.1:${between.port}/`)
  await until(() => between.upgrades === 1 && isConnected(tab))
  const before = await request(tab, '/use')
  await context.clearCookies()
  const id = await request(tab, '/use')
  // Sooner than the heartbeats of its former session are missed, which takes 95 s.
  await until(() => String(app.openSessions()) === id, 'only the new session is open', 60)
  await until(() => String(app.unloaded) === before)
  release()
  await context.close()
})

for (const { protocol, host } of ORIGINS) {
  const origin = `${protocol}//${host}`
  const newContext = () => browser.newContext({ ignoreHTTPSErrors: true })
  // Most of the time they wait.
  describe(`a page at ${origin}`, { concurrency: 6 }, () => {
    for (const kind of KINDS) {
      it(`moves when cookies were cleared and a request started a session: ${kind}`, async t => {
        const app = await restartableApp(t, kind, { protocol })
        const context = await newContext()
        const tab = await open(context, app, origin)
        const before = await request(tab, '/use')
        await context.clearCookies()
        const id = await request(tab, '/use')
        assert.notEqual(id, before)
        await settles(app, id)
        assert.equal(await request(tab, '/use'), id)
        assert.deepEqual(app.unloaded, [before])
        await context.close()
      })

      it(`moves with a long request that started the session: ${kind}`, async t => {
        const app = await restartableApp(t, kind, { protocol })
        const context = await newContext()
        const tab = await open(context, app, origin)
        await context.clearCookies()
        const id = await request(tab, '/slow?ms=4000')
        await settles(app, id)
        assert.equal(await request(tab, '/use'), id)
        await context.close()
      })

      it(`moves to the session of a request that was in flight when the server restarted: ${kind}`, async t => {
        const app = await restartableApp(t, kind, { protocol })
        const context = await newContext()
        const tab = await open(context, app, origin)
        await request(tab, '/use')
        await app.kill()
        await until(async () => !(await isConnected(tab)), 'the page knows that the server is away')
        await app.start()
        const id = await request(tab, '/slow?ms=5000')
        await settles(app, id)
        assert.equal(await request(tab, '/use'), id)
        assert.equal(app.gradio.stats().sessions, 1)
        assert.deepEqual(app.unloaded, [])
        await context.close()
      })

      it(`keeps its session when it reconnects first after a restart: ${kind}`, async t => {
        const app = await restartableApp(t, kind, { protocol })
        const context = await newContext()
        const tab = await open(context, app, origin)
        await request(tab, '/use')
        await app.kill()
        await app.start()
        await until(() => app.gradio.stats().pages === 1)
        const id = await request(tab, '/use')
        await settles(app, id)
        assert.deepEqual([app.gradio.stats().sessions, app.unloaded], [1, []])
        await context.close()
      })

      it(`moves when another tab has started another session: ${kind}`, async t => {
        const app = await restartableApp(t, kind, { protocol })
        const context = await newContext()
        const hidden = await open(context, app, origin)
        const before = await request(hidden, '/use')
        const shown = await open(context, app, origin)
        await shown.bringToFront()
        await context.clearCookies()
        const id = await request(shown, '/use')
        await until(() => app.gradio.session(id)?.pages !== 0)
        await hidden.bringToFront()
        await settles(app, id, 2)
        assert.deepEqual(app.unloaded, [before])
        await context.close()
      })
    }

    for (const kind of KINDS.slice(1)) {
      it(`moves after a login and a logout in another tab: ${kind}`, async t => {
        const app = await restartableApp(t, kind, { protocol })
        const context = await newContext()
        const tab = await open(context, app, origin)
        await request(tab, '/use')
        const other = await open(context, app, origin)
        const id = await request(other, '/login')
        await settles(app, id, 2)
        await request(other, '/logout')
        await until(() => app.openSessions().length === 1 && !app.openSessions().includes(id))
        const after = await request(other, '/id')
        await settles(app, after, 2)
        await context.close()
      })

      it(`lets the next request start the session when the framework session has expired: ${kind}`, async t => {
        const app = await restartableApp(t, kind, { maxAge: 3_000, protocol })
        const context = await newContext()
        const tab = await open(context, app, origin)
        await request(tab, '/use')
        await until(() => app.unloaded.length === 1)
        const sessions = app.gradio.stats().sessions
        await sleep(2_500)
        assert.equal(app.gradio.stats().sessions, sessions)
        const id = await request(tab, '/use')
        await until(() => app.gradio.session(id)?.pages === 1)
        await context.close()
      })
    }

    it('sends nothing while nothing changes', async t => {
      const app = await restartableApp(t, 'own cookie', { protocol })
      const context = await newContext()
      const tab = await open(context, app, origin)
      const id = await request(tab, '/use')
      await settles(app, id)
      assert.equal(app.requests.get('/gradio_api/heartbeat'), 1)
      await context.close()
    })

    it('asks once when another app overwrites the mark, and keeps its session', async t => {
      const app = await restartableApp(t, 'own cookie', { protocol })
      const context = await newContext()
      const tab = await open(context, app, origin)
      const id = await request(tab, '/use')
      await tab.evaluate(() => {
        // biome-ignore lint/suspicious/noDocumentCookie: a browser without the Cookie Store API has no other way
        document.cookie = 'gradio_state_page=of-another-app; path=/'
      })
      await settles(app, id)
      // The heartbeat that opened the page, and the query.
      assert.equal(app.requests.get('/gradio_api/heartbeat'), 2)
      assert.equal(await request(tab, '/use'), id)
      assert.deepEqual(app.unloaded, [])
      await context.close()
    })

    it('renews its cookie, so that a user who stays keeps the session', async t => {
      const app = await restartableApp(t, 'own cookie', { protocol, options: { cookie: { maxAge: '4s' } } })
      const context = await newContext()
      const tab = await open(context, app, origin)
      const id = await request(tab, '/use')
      await sleep(6_000)
      assert.equal(await request(tab, '/use'), id)
      await settles(app, id)
      await context.close()
    })
  })
}

describe('a page of a front end with another origin', () => {
  it('moves when it is shown again', async t => {
    // Another port is another origin of the same site.
    const frontEnd = await serve(t, (_req, res) => {
      res.setHeader('Content-Type', 'text/html')
      res.end(
        `<!doctype html><script type="module" src="http://127.0.0.1:${app.port}/gradio_api/client.js"></script>`,
      )
    })
    const { origin } = frontEnd
    const app: RestartableApp = await restartableApp(t, 'own cookie', { options: { origins: [origin] } })
    const context = await browser.newContext()
    const tab = await context.newPage()
    await tab.goto(`${origin}/`)
    await until(() => app.gradio.stats().pages === 1)
    const [before = ''] = app.openSessions()
    const other = await context.newPage()
    await context.clearCookies()
    await other.goto(`http://127.0.0.1:${app.port}/`)
    await until(() => app.openSessions().length === 2)
    const id = app.openSessions().find(id => id !== before) ?? ''
    await other.bringToFront()
    await tab.bringToFront()
    // Headless Chromium never hides a tab.
    await tab.evaluate(() => document.dispatchEvent(new Event('visibilitychange')))
    await settles(app, id, 2)
    assert.deepEqual(app.unloaded, [before])
    await context.close()
  })
})
