import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Page } from 'playwright-core'
import {
  gallery,
  generate,
  isConnected,
  open,
  sessionOf,
  unloadDelayPasses,
  until,
  useBrowser,
  useExample,
} from '../support/browser/browser.ts'

declare global {
  interface Window {
    shown: boolean[]
  }
}

describe('the back/forward cache', { concurrency: true }, () => {
  const browser = useBrowser({ hasWindows: true })
  const example = useExample()

  it('restores a page that reconnects, back and forward', async () => {
    const context = await browser.newContext()
    const tab = await open(context, example().url)
    const id = await sessionOf(example(), tab)
    const name = await generate(tab)
    await noteShows(tab)
    await tab.goto(`${example().url}/?second`)
    await until(() => isConnected(tab), 'the second page is connected')
    await noteShows(tab)

    for (const [times, direction] of [
      [1, 'goBack'],
      [1, 'goForward'],
      [2, 'goBack'],
      [2, 'goForward'],
      [3, 'goBack'],
    ] as const) {
      await tab[direction]({ waitUntil: 'commit' })
      await until(async () => (await shows(tab))?.length === times, 'the page is shown')
      assert.deepEqual(await shows(tab), Array(times).fill(true), 'persisted')
      await until(() => isConnected(tab), 'the page is connected')
    }

    await unloadDelayPasses(example())
    assert.equal(example().count(`UNLOAD ${id}`), 0)
    assert.equal((await gallery(tab)).at(-1), name)
    await generate(tab)
    await tab.close()
    await example().line(`UNLOAD ${id}`)
    assert.equal(example().count(`LOAD ${id}`), 1)
    await context.close()
  })

  it('stores a page whose user has left, and loads the session again when the user returns', async () => {
    const context = await browser.newContext()
    const tab = await open(context, example().url)
    const id = await sessionOf(example(), tab)
    await generate(tab)
    const names = await gallery(tab)
    await noteShows(tab)
    // Another site, as far as cookies and sessions are concerned.
    await tab.goto(`http://127.0.0.1:${example().port}/icon.svg`)
    await example().line(`UNLOAD ${id}`)

    await tab.goBack({ waitUntil: 'commit' })
    await until(async () => (await shows(tab))?.length === 1, 'the page is shown')
    assert.deepEqual(await shows(tab), [true], 'persisted')
    await until(() => example().count(`LOAD ${id}`) === 2, 'the session is loaded again')
    await until(() => isConnected(tab), 'the page is connected')
    await unloadDelayPasses(example())
    assert.equal(example().count(`UNLOAD ${id}`), 1)
    const name = await generate(tab)
    assert.deepEqual(await gallery(tab), [...names, name])
    assert.equal(await sessionOf(example(), tab), id)
    await context.close()
    await until(() => example().count(`UNLOAD ${id}`) === 2, 'the second unload')
  })
})

/** Records each `pageshow` of this document from now on: whether it came from the cache. */
async function noteShows(tab: Page): Promise<void> {
  await tab.evaluate(() => {
    window.shown = []
    addEventListener('pageshow', ({ persisted }) => window.shown.push(persisted))
  })
}

function shows(tab: Page): Promise<boolean[] | undefined> {
  return tab.evaluate(() => window.shown)
}
