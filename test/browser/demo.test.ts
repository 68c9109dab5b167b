import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Page } from 'playwright-core'
import { expectAccessible } from '../support/browser/accessibility.ts'
import { APPS, generate, open, sessionOf, useBrowser, useExample } from '../support/browser/browser.ts'
import { read } from '../support/package/files.ts'

const GRACE_PERIOD = '6'

it('the core of the demo is one file of at most 60 lines', () => {
  assert.ok(read('example-app/demo.ts').trimEnd().split('\n').length <= 60)
})

for (const app of APPS) {
  describe(`the page of the app on ${app}`, { concurrency: true }, () => {
    const browser = useBrowser()
    const example = useExample({ GRACE_PERIOD, UNLOAD_DELAY: '1' }, app)

    it('says what will happen when, and so does the terminal', async () => {
      const context = await browser.newContext()
      const tab = await open(context, example().url)
      const steps = await tab.$$eval('.story li', items =>
        items.map(item => (item.textContent ?? '').replaceAll(/\s+/g, ' ').trim()),
      )
      assert.equal(steps.length, 3)
      assert.match(steps[0] as string, /^After 1 second UNLOAD Your directory is deleted/)
      assert.match(steps[1] as string, /^Within 6 seconds You can come back/)
      assert.match(steps[2] as string, /^After 6 seconds STATE DELETED .* ENDED/)
      assert.match((await tab.textContent('#try-it')) ?? '', /after 4 seconds\..*after 11 seconds\./s)
      await example().line('  after 1 s: ')
      assert.match(await example().line('  after 6 s: '), /STATE DELETED, ENDED/)
      await context.close()
    })

    it('links to the inspector, which shows the user', async () => {
      const context = await browser.newContext()
      const tab = await open(context, example().url)
      const [inspector] = await Promise.all([context.waitForEvent('page'), tab.click('#inspect a')])
      await inspector.waitForSelector(`a[title="${await sessionOf(example(), tab)}"]`)
      await context.close()
    })

    it('counts the pictures of each tab next to the gallery that all tabs share, even after a reload', async () => {
      const context = await browser.newContext()
      const first = await open(context, example().url)
      await generate(first)
      const second = await open(context, example().url)
      await generate(second)
      await first.reload()
      // The first picture was generated when the page was opened.
      for (const [tab, count] of [
        [first, 2],
        [second, 1],
      ] as const) {
        const text = `3 · ${count} in this tab`
        await tab.waitForFunction(
          text => document.querySelector('#gallery-heading')?.textContent?.endsWith(text),
          text,
        )
      }
      await context.close()
    })

    it('shows a user who comes back in time what was deleted, and what is still there', async () => {
      const context = await browser.newContext()
      const tab = await open(context, example().url)
      await generate(tab)
      const id = await sessionOf(example(), tab)
      await tab.close()
      await example().line(`UNLOAD ${id}`)

      const again = await open(context, example().url)
      assert.deepEqual(await eventsShown(again), ['UNLOAD'])
      assert.match((await again.textContent('#away-heading')) ?? '', /^While you were away for \d+ second/)
      assert.match((await again.textContent('#away-result')) ?? '', /^You came back in time/)
      // It is shown once, and a reload is no absence.
      await again.reload()
      await again.waitForFunction(() => document.querySelector('#values')?.textContent === '1')
      assert.ok(await again.isHidden('#away'))
      await context.close()
    })

    it('shows a user who comes back too late what was deleted meanwhile', async () => {
      const context = await browser.newContext()
      const tab = await open(context, example().url)
      await generate(tab)
      const id = await sessionOf(example(), tab)
      await tab.close()
      await example().line(`ENDED ${id}`)

      const again = await open(context, example().url)
      assert.deepEqual(await eventsShown(again), ['UNLOAD', 'STATE DELETED', 'ENDED'])
      assert.match(
        (await again.textContent('#away-events')) ?? '',
        /Your history of 2 pictures was deleted\./,
      )
      assert.match((await again.textContent('#away-result')) ?? '', /^You are a new user now/)
      await expectAccessible(again)
      await context.close()
    })
  })
}

describe('the page of the demo', { concurrency: 2 }, () => {
  const browser = useBrowser()
  const example = useExample()

  for (const width of [390, 1280]) {
    it(`is accessible, and fits its window, at ${width} px`, async () => {
      const context = await browser.newContext({ viewport: { width, height: 844 } })
      const tab = await open(context, example().url)
      await expectAccessible(tab)
      await context.close()
    })
  }

  it('can be used with the keyboard', async () => {
    const context = await browser.newContext()
    const tab = await open(context, example().url)
    await tab.keyboard.press('Tab')
    assert.equal(await tab.evaluate(() => document.activeElement?.id), 'generate')
    const answer = tab.waitForResponse(response => response.url().endsWith('/generate'))
    await tab.keyboard.press('Enter')
    await answer
    await tab.waitForFunction(() => document.querySelectorAll('#gallery button').length === 2)
    await tab.keyboard.press('Tab')
    await tab.keyboard.press('ArrowRight')
    await tab.keyboard.press('Enter')
    await tab.waitForFunction(
      () => document.activeElement === document.querySelectorAll('#gallery button')[1],
    )
    await tab.keyboard.press('Tab')
    assert.equal(await tab.evaluate(() => document.activeElement?.id), 'own-files')
    await context.close()
  })
})

async function eventsShown(tab: Page): Promise<string[]> {
  await tab.waitForSelector('#away:not([hidden])')
  return tab.$$eval('#away-events code', names => names.map(name => name.textContent ?? ''))
}
