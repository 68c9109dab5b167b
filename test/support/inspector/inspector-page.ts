import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import type { BrowserContextOptions, Page } from 'playwright-core'
import type { TestBrowser } from '../browser/browser.ts'
import { INSPECTOR } from './inspected.ts'

/** The inspector in a browser, of an operator who has logged in. What it complains about fails the test. */
export async function openInspector(
  t: TestContext,
  browser: TestBrowser,
  origin: string,
  options: BrowserContextOptions = {},
): Promise<Page> {
  const context = await browser.newContext(options)
  t.after(() => context.close())
  const page = await context.newPage()
  const complaints: string[] = []
  page.on('console', message => {
    if (message.type() === 'error') complaints.push(message.text())
  })
  page.on('pageerror', error => complaints.push(String(error)))
  page.on('dialog', dialog => complaints.push(dialog.message()))
  t.after(() =>
    assert.deepEqual(
      complaints.filter(text => !text.startsWith('Failed to load resource')),
      [],
    ),
  )
  await page.request.post(`${origin}/login`)
  await page.goto(origin + INSPECTOR)
  await page.getByText('Live', { exact: true }).waitFor()
  return page
}
