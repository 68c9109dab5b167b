import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { describe, it } from 'node:test'
import compression from 'compression'
import express from 'express'
import helmet from 'helmet'
import type { Page } from 'playwright-core'
import { localActions } from '../../example-app/actions.ts'
import { createApp } from '../../example-app/app.ts'
import { readSettings } from '../../example-app/settings.ts'
import { generate, isConnected, open, until, useBrowser } from '../support/browser/browser.ts'
import { forEachExpress, serve, site } from '../support/http/express.ts'

const html = `<!doctype html>
  <link rel="icon" href="data:,">
  <script type="module" src="/gradio_api/client.js"></script>
  <p>${'Long enough to be compressed. '.repeat(100)}</p>`

describe('behind compression() and helmet() at their defaults', () => {
  const browser = useBrowser()

  forEachExpress((_name, module) => {
    it('a page gets its WebSocket, and leaves', async t => {
      const unloaded: string[] = []
      const { gradio, clock, origin } = await site(t, module, {
        before: [helmet(), compression()],
        routes(app, gradio) {
          gradio.unload(({ session }) => unloaded.push(session.id))
          app.get('/', (_req, res) => res.send(html))
        },
      })
      const context = await browser.newContext()
      t.after(() => context.close())
      const tab = await context.newPage()
      const troubles = noteTroubles(tab)
      const [answer, socket] = await Promise.all([tab.goto(origin), tab.waitForEvent('websocket')])
      assert.match(answer?.headers()['content-security-policy'] ?? '', /default-src 'self'/)
      assert.ok(answer?.headers()['content-encoding'], 'compressed')
      assert.equal(socket.isClosed(), false)
      await until(() => isConnected(tab), 'the page is connected')
      assert.equal(gradio.stats().pages, 1)

      assert.deepEqual(troubles, [])
      await tab.close()
      await until(() => gradio.stats().pages === 0, 'the page has left')
      // How long a page whose socket broke may take to reconnect.
      await clock.advance(4)
      assert.equal(unloaded.length, 1)
    })
  })

  it('the example app shows a picture', async t => {
    const pictureDir = await mkdtemp(path.join(tmpdir(), 'gradio-state-browser-'))
    t.after(() => rm(pictureDir, { recursive: true, force: true }))
    const settings = readSettings({ PICTURE_DIR: pictureDir })
    const demo = localActions(settings)
    t.after(() => demo.gradio.close())
    const app = express().use(helmet(), compression(), createApp(demo, settings))
    const { origin } = await serve(t, app)
    const context = await browser.newContext()
    t.after(() => context.close())
    const tab = await open(context, origin)
    const troubles = noteTroubles(tab)
    await generate(tab)
    assert.ok(await isConnected(tab))
    assert.deepEqual(troubles, [])
  })
})

/** The browser reports on the console what it blocks or can't load. */
function noteTroubles(tab: Page): string[] {
  const troubles: string[] = []
  tab.on('console', message => {
    if (message.type() === 'error' || message.type() === 'warning') troubles.push(message.text())
  })
  tab.on('pageerror', error => troubles.push(error.message))
  return troubles
}
