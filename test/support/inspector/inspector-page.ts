import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import type { TestContext } from 'node:test'
import type { AxeResults } from 'axe-core'
import type { BrowserContextOptions, Page } from 'playwright-core'
import type { TestBrowser } from '../browser/browser.ts'
import { INSPECTOR } from './inspected.ts'

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')

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

/** What is wrong for users with disabilities, as far as a program can find it. */
export async function violations(page: Page): Promise<string[]> {
  await page.evaluate(axe)
  const { violations } = await page.evaluate(() => {
    const { axe } = window as unknown as { axe: { run(): Promise<AxeResults> } }
    return axe.run()
  })
  return violations.flatMap(({ id, nodes }) =>
    nodes.map(({ html, failureSummary }) => `${id}: ${html} ${failureSummary}`),
  )
}

/** By how many pixels the page is wider than its window. */
export function overflow(page: Page): Promise<number> {
  return page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth)
}
