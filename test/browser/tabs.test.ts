import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import type { Page } from 'playwright-core'
import { localActions } from '../../example-app/actions.ts'
import { createApp } from '../../example-app/app.ts'
import { readSettings } from '../../example-app/settings.ts'
import { gallery, generate, isConnected, open, until, useBrowser } from '../support/browser/browser.ts'
import { type ProxyOptions, proxy } from '../support/browser/proxy.ts'
import { serve } from '../support/http/express.ts'

/** Browsers open six connections to a host with HTTP/1.1. */
const TABS = 8

describe('eight tabs of one browser load, work and are counted', { concurrency: 2 }, () => {
  const browser = useBrowser()

  it('on a secure origin', async t => {
    await allAreCounted(t, {})
  })

  it('on an insecure origin', async t => {
    await allAreCounted(t, { name: 'app.test' })
  })

  it("behind a proxy that doesn't support WebSockets", async t => {
    const seen = await allAreCounted(t, { name: 'app.test', upgrades: 'strip' })
    assert.ok(seen >= TABS, `${seen} upgrades`)
  })

  it('three tabs do so behind a proxy that rejects WebSockets', async t => {
    const seen = await allAreCounted(t, { upgrades: 'refuse', count: 3 })
    assert.ok(seen >= 3, `${seen} upgrades`)
  })

  /** @returns how many upgrades passed through the proxy */
  async function allAreCounted(
    t: TestContext,
    { name = 'localhost', upgrades, count = TABS }: ProxyOptions & { name?: string; count?: number },
  ): Promise<number> {
    const { gradio, port } = await example(t)
    const unloaded: string[] = []
    let loads = 0
    gradio.load(() => loads++)
    gradio.unload(({ session }) => unloaded.push(session.id))
    const between = await proxy(port, upgrades && { upgrades })
    t.after(() => between.close())
    const context = await browser.newContext()
    t.after(() => context.close())
    const url = `http://${name}:${between.port}`

    const tabs: Page[] = [await open(context, url)]
    assert.equal(await tabs[0]?.evaluate(() => window.isSecureContext), name === 'localhost')
    tabs.push(...(await Promise.all(Array.from({ length: count - 1 }, () => open(context, url)))))
    await until(() => gradio.stats().pages === count, 'all pages are counted')
    for (const tab of tabs) await generate(tab)
    assert.equal((await gallery(tabs.at(-1) as Page)).length, 1 + count)
    for (const tab of tabs) assert.ok(await isConnected(tab))
    assert.deepEqual([gradio.stats().sessions, gradio.stats().pages, loads], [1, count, 1])

    // Only the last tab keeps the user present; each closed tab is detected.
    for (let left = count - 1; left > 0; left--) {
      await tabs.pop()?.close()
      await until(() => gradio.stats().pages === left, `${left} pages are left`)
    }
    await generate(tabs[0] as Page)
    assert.deepEqual(unloaded, [])
    await tabs[0]?.close()
    await until(() => unloaded.length === 1, 'the unload')
    assert.equal(loads, 1)
    return between.upgrades
  }
})

/** The example app in this process, so that its pages can be counted. */
async function example(t: TestContext) {
  const pictureDir = await mkdtemp(path.join(tmpdir(), 'gradio-state-browser-'))
  t.after(() => rm(pictureDir, { recursive: true, force: true }))
  const settings = readSettings({ PICTURE_DIR: pictureDir })
  const demo = localActions(settings)
  t.after(() => demo.gradio.close())
  const { port } = await serve(t, createApp(demo, settings))
  return { gradio: demo.gradio, port }
}
