import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import express from 'express'
import type { Page } from 'playwright-core'
import { expectAccessible } from '../support/browser/accessibility.ts'
import { until, useBrowser } from '../support/browser/browser.ts'
import { beginSessions, type Inspected, identifyStub, inspected } from '../support/inspector/inspected.ts'
import { openInspector } from '../support/inspector/inspector-page.ts'

const HOSTILE = `<img src=x onerror="document.title='attacked'">"'><script>document.title='attacked'</script>`

describe('the inspector in Chromium', { concurrency: 2 }, () => {
  const browser = useBrowser()

  it('is found by search, read and ended with the keyboard alone', async t => {
    const site = await full(t, 60)
    const page = await openInspector(t, browser, site.origin)
    await tabTo(page, 'searchbox')
    await page.keyboard.type('USER-42@')
    await page.getByText('1–1 of 1', { exact: true }).waitFor()
    assert.equal(await page.getByRole('status').textContent(), '1 session found')
    await tabTo(page, 'link')
    await page.keyboard.press('Enter')
    await page.waitForURL(/#session=./)
    const id = page.url().split('#session=')[1] ?? ''
    await untilFocused(page, id)
    await page.getByRole('cell', { name: '2 min' }).waitFor()

    await tabTo(page, 'button')
    await page.keyboard.press('Enter')
    await page.getByRole('dialog', { name: 'End this session?' }).waitFor()
    await untilFocused(page, 'Cancel')
    await page.keyboard.press('Escape')
    await untilFocused(page, 'End session…')
    assert.ok(site.gradio.session(id), 'the session continues')

    await page.keyboard.press('Enter')
    await page.keyboard.press('Tab')
    await page.keyboard.press('Enter')
    await page.getByText('This session has ended.').waitFor()
    assert.equal(site.gradio.session(id), undefined)
    assert.equal(await page.getByRole('status').textContent(), 'The session is ending.')
    await untilFocused(page, id)
    await page.goBack()
    await page.getByText('No session matches.').waitFor()
  })

  it('keeps the focus while its data changes, and returns it to the list', async t => {
    const site = await full(t, 3)
    const page = await openInspector(t, browser, site.origin)
    const link = page.locator('#rows a').last()
    const name = await link.textContent()
    await link.focus()
    await site.clock.advance(1)
    await beginSessions(site.gradio, 5)
    await page.getByText('1–5 of 5', { exact: true }).waitFor()
    assert.equal(await focusedText(page), name)
    await page.keyboard.press('Enter')
    await page.getByRole('link', { name: 'All sessions' }).press('Enter')
    await untilFocused(page, name)
  })

  it('ends a session although its first question was cancelled just before the second', async t => {
    const site = await full(t, 1)
    const page = await openInspector(t, browser, site.origin)
    await page.locator('#rows a').click()
    await page.getByRole('button', { name: 'End session…' }).waitFor()
    await page.evaluate(() => {
      for (const id of ['end', 'cancel', 'end']) document.getElementById(id)?.click()
    })
    await page.getByRole('dialog').getByRole('button', { name: 'End session', exact: true }).click()
    await page.getByText('This session has ended.').waitFor()
  })

  it('pages and filters 10,000 sessions', async t => {
    const site = await full(t, 10_000)
    const page = await openInspector(t, browser, site.origin)
    await page.getByText('1–50 of 10,000', { exact: true }).waitFor()
    await page.getByRole('button', { name: 'Next' }).click()
    await page.getByText('51–100 of 10,000', { exact: true }).waitFor()
    await page.getByRole('radio', { name: /^Open/ }).check()
    await page.getByText('No session matches.').waitFor()
    await page.getByRole('radio', { name: /^Waiting/ }).check()
    await page.getByRole('combobox', { name: 'Order' }).selectOption('Oldest first')
    await page.getByRole('searchbox').fill('user-9999@')
    await page.getByText('1–1 of 1', { exact: true }).waitFor()
    assert.equal(await page.locator('#rows .info').textContent(), 'user-9999@app.test')
  })

  it('shows what users have written as text', async t => {
    const site = await inspected(t, express, {
      options: { ...identifyStub, info: () => HOSTILE },
      inspector: { describe: () => HOSTILE },
    })
    site.gradio.unload(() => {
      throw new Error(HOSTILE)
    })
    site.gradio.on('error', () => {})
    await beginSessions(site.gradio, 1, async state => {
      state.set(HOSTILE, 1, { timeToLive: '1h' })
      await state.saveFile('text', { name: HOSTILE })
    })
    await site.clock.advance(3)
    const page = await openInspector(t, browser, site.origin)
    assert.equal(await page.locator('#rows .info').textContent(), HOSTILE)
    await page.locator('#rows a').click()
    await page.locator('#values th', { hasText: 'onerror' }).waitFor()
    await page.locator('#files th').waitFor()
    assert.equal(await page.locator('#description').textContent(), HOSTILE)
    assert.equal(await page.title(), 'Sessions')
    assert.equal(await page.locator('main img, main script, aside img').count(), 0)
  })

  it('stops asking while it is paused or hidden', async t => {
    const site = await full(t, 1)
    const page = await openInspector(t, browser, site.origin)
    let asked = 0
    page.on('request', request => {
      if (request.url().includes('?data')) asked++
    })
    const setHidden = (isHidden: boolean) =>
      page.evaluate(isHidden => {
        const value = isHidden ? 'hidden' : 'visible'
        Object.defineProperty(document, 'visibilityState', { value, configurable: true })
        document.dispatchEvent(new Event('visibilitychange'))
      }, isHidden)
    const goesOn = async () => {
      const before = asked
      await until(() => asked > before, 'that it asks')
    }
    await goesOn()
    await page.clock.install()
    await page.getByRole('button', { name: 'Pause' }).click()
    await page.getByText('Paused', { exact: true }).waitFor()
    const paused = asked
    await page.clock.runFor(20_000)
    assert.equal(asked, paused)
    await page.getByRole('button', { name: 'Pause' }).click()
    await until(() => asked > paused, 'that it continues')
    await setHidden(true)
    await page.clock.runFor(5_000)
    const hidden = asked
    await page.clock.runFor(20_000)
    assert.equal(asked, hidden)
    await setHidden(false)
    await until(() => asked > hidden, 'that it continues')
  })

  it('reports that the server refuses or fails, and continues when it responds again', async t => {
    let isAllowed = true
    const site = await inspected(t, express, { inspector: { authorize: () => isAllowed } })
    const page = await openInspector(t, browser, site.origin)
    await page.route('**/*data*', route => route.abort())
    await page.getByRole('alert').filter({ hasText: 'doesn’t respond' }).waitFor()
    await page.unroute('**/*data*')
    await page.getByText('Live', { exact: true }).waitFor()
    isAllowed = false
    await page.getByRole('alert').filter({ hasText: 'no longer logged in' }).waitFor()
  })

  for (const width of [390, 1600]) {
    it(`is accessible, and fits its window, at ${width} px`, async t => {
      const viewport = { width, height: 900 }
      const empty = await inspected(t, express)
      const page = await openInspector(t, browser, empty.origin, { viewport })
      await expectAccessible(page, 'empty')
      const site = await full(t, 60)
      const fullPage = await openInspector(t, browser, site.origin, { viewport })
      await expectAccessible(fullPage, 'full')
      await fullPage.locator('#rows a').first().click()
      await fullPage.locator('#values th').first().waitFor()
      await expectAccessible(fullPage, 'one session')
      await fullPage.getByRole('button', { name: 'End session…' }).click()
      await expectAccessible(fullPage, 'dialog')
      await fullPage.getByRole('button', { name: 'Cancel' }).click()
      await fullPage.route('**/*data*', route => route.abort())
      await fullPage.getByRole('alert').filter({ hasText: 'doesn’t respond' }).waitFor()
      await expectAccessible(fullPage, 'stale')
    })
  }
})

/** An app with that many sessions, each with two values. */
async function full(t: TestContext, sessions: number): Promise<Inspected> {
  const site = await inspected(t, express, {
    options: identifyStub,
    inspector: { describe: session => ({ history: session.get('history') }) },
  })
  await beginSessions(site.gradio, sessions, (state, number) => {
    state.set('history', [number], { timeToLive: '2m' })
    state.set('settings', {})
  })
  return site
}

/** Presses Tab until an element with that role has the focus. */
async function tabTo(page: Page, role: 'searchbox' | 'link' | 'button'): Promise<void> {
  const selector = { searchbox: 'input[type=search]', link: '#rows a', button: '#end' }[role]
  for (let presses = 0; presses < 20; presses++) {
    await page.keyboard.press('Tab')
    if (await page.evaluate(selector => document.activeElement?.matches(selector), selector)) return
  }
  assert.fail(`Expected to reach the ${role} within 20 presses of Tab`)
}

/** The browser follows a key that navigates or closes a dialog in a later task. */
function untilFocused(page: Page, text: string | null): Promise<void> {
  return until(async () => (await focusedText(page)) === text, `the focus is on ${text}`)
}

function focusedText(page: Page): Promise<string | null | undefined> {
  return page.evaluate(() => document.activeElement?.textContent)
}
