import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import path from 'node:path'
import { describe, it } from 'node:test'
import { chromium } from 'playwright-core'
import {
  APPS,
  gallery,
  generate,
  isConnected,
  launchOptions,
  open,
  sessionOf,
  unloadDelayPasses,
  until,
  useBrowser,
  useExample,
} from '../support/browser/browser.ts'

/** Long enough for a slow machine to open a page again within it. */
const GRACE_PERIOD = '8'

for (const app of APPS) {
  describe(`a user who leaves the app on ${app}`, { concurrency: true }, () => {
    const browser = useBrowser()
    const example = useExample({ GRACE_PERIOD }, app)

    it('has no directory after 5 s, and no history after the grace period', async t => {
      const context = await browser.newContext()
      const tab = await open(context, example().url)
      const names = [await tab.textContent('#caption'), await generate(tab), await generate(tab)]
      assert.deepEqual(await gallery(tab), names)
      const id = await sessionOf(example(), tab)
      const directory = path.join(example().pictureDir, id)
      assert.deepEqual((await readdir(directory)).sort(), [...names].sort())
      assert.equal(
        (await readFile(path.join(directory, names[0] as string))).toString('latin1', 8, 12),
        'WEBP',
      )

      const closedAt = performance.now()
      await tab.close()
      await example().line(`UNLOAD ${id}`)
      const unloaded = performance.now() - closedAt
      assert.ok(unloaded <= 5000, `${unloaded} ms`)
      assert.ok(!existsSync(directory))
      assert.equal(example().count(`STATE DELETED ${id}`), 0)

      await example().line(`ENDED ${id}`)
      const ended = performance.now() - closedAt
      t.diagnostic(`unloaded after ${Math.round(unloaded)} ms, ended after ${Math.round(ended)} ms`)
      assert.ok(ended >= Number(GRACE_PERIOD) * 1000, `${ended} ms`)
      assert.deepEqual(
        example().lines.filter(line => line.includes(id)),
        [
          `LOAD ${id}`,
          `UNLOAD ${id} disconnected`,
          `STATE DELETED ${id} 3 disconnected`,
          `ENDED ${id} disconnected`,
        ],
      )
      await context.close()
    })

    it('is still present while another tab is open', async () => {
      const context = await browser.newContext()
      const first = await open(context, example().url)
      const second = await open(context, example().url)
      const id = await sessionOf(example(), second)
      assert.equal(await sessionOf(example(), first), id)
      await first.close()
      await unloadDelayPasses(example())
      assert.equal(example().count(`UNLOAD ${id}`), 0)
      await generate(second)
      await second.close()
      await example().line(`UNLOAD ${id}`)
      assert.equal(example().count(`LOAD ${id}`), 1)
      await context.close()
    })

    it('finds everything again within the grace period', async () => {
      const context = await browser.newContext()
      const before = await open(context, example().url)
      await generate(before)
      const names = await gallery(before)
      const id = await sessionOf(example(), before)
      // Leaves at the same time and doesn't return.
      const other = await browser.newContext()
      const away = await open(other, example().url)
      const idOfOther = await sessionOf(example(), away)
      await before.close()
      await away.close()
      await example().line(`UNLOAD ${id}`)

      const tab = await open(context, example().url)
      assert.deepEqual(await gallery(tab), names)
      assert.match((await tab.textContent('#status')) ?? '', /^Welcome back/)
      await example().line(`ENDED ${idOfOther}`)
      assert.equal(example().count(`STATE DELETED ${id}`), 0)
      assert.equal(example().count(`LOAD ${id}`), 2)

      const name = await generate(tab)
      assert.deepEqual(await gallery(tab), [...names, name])
      assert.deepEqual(await readdir(path.join(example().pictureDir, id)), [name])
      await context.close()
      await other.close()
    })

    it('is not unloaded when another tab opens before the delay is over', async () => {
      const context = await browser.newContext()
      const before = await open(context, example().url)
      const id = await sessionOf(example(), before)
      const waiting = await context.newPage()
      await before.close()
      await waiting.goto(example().url)
      await until(() => isConnected(waiting), 'the new page is connected')
      await unloadDelayPasses(example())
      assert.equal(example().count(`UNLOAD ${id}`), 0)
      assert.equal(await sessionOf(example(), waiting), id)
      await context.close()
    })

    it('is unloaded when the tab crashes', async t => {
      const context = await browser.newContext()
      const tab = await open(context, example().url)
      const id = await sessionOf(example(), tab)
      const crashedAt = performance.now()
      const session = await context.newCDPSession(tab)
      session.send('Page.crash').catch(() => {})
      assert.equal(await example().line(`UNLOAD ${id}`), `UNLOAD ${id} disconnected`)
      t.diagnostic(`unloaded ${Math.round(performance.now() - crashedAt)} ms after the crash`)
      await context.close()
    })

    it('is unloaded when the browser is killed', async t => {
      const server = await chromium.launchServer(launchOptions)
      try {
        const other = await chromium.connect(server.wsEndpoint())
        const tab = await open(await other.newContext(), example().url)
        const id = await sessionOf(example(), tab)
        const killedAt = performance.now()
        server.process().kill('SIGKILL')
        await example().line(`UNLOAD ${id}`)
        t.diagnostic(`unloaded ${Math.round(performance.now() - killedAt)} ms after SIGKILL`)
        assert.ok(!existsSync(path.join(example().pictureDir, id)))
        await example().line(`STATE DELETED ${id} 1 disconnected`)
      } finally {
        await server.kill()
      }
    })
  })
}
