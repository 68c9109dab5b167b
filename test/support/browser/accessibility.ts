import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import type { AxeResults, RunOptions } from 'axe-core'
import type { Page } from 'playwright-core'

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')

/** Fails if axe (https://github.com/dequelabs/axe-core) finds anything in the page, in light or in dark colours, or if it is wider than its window. */
export async function expectAccessible(page: Page, what = 'the page'): Promise<void> {
  await page.emulateMedia({ colorScheme: 'light' })
  assert.deepEqual(await violations(page, {}), [], `${what}, light`)
  await page.emulateMedia({ colorScheme: 'dark' })
  // Only the colours are different.
  assert.deepEqual(await violations(page, { runOnly: ['color-contrast'] }), [], `${what}, dark`)
  const overflow = await page.evaluate(
    () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
  )
  assert.ok(overflow <= 0, `${what} is ${overflow} px wider than its window`)
}

async function violations(page: Page, options: RunOptions): Promise<string[]> {
  // Evaluated, since the page's Content-Security-Policy refuses inline scripts.
  await page.evaluate(axe)
  const { violations } = await page.evaluate(options => {
    const { axe } = window as unknown as { axe: { run(options: RunOptions): Promise<AxeResults> } }
    return axe.run(options)
  }, options)
  return violations.flatMap(({ id, nodes }) =>
    nodes.map(({ html, failureSummary }) => `${id}: ${html} ${failureSummary}`),
  )
}
