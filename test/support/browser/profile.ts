import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { chromium, type Page } from 'playwright-core'
import { chromiumPath, launchOptions, until } from './browser.ts'

/** A Chromium with what its users do with tabs, which only an extension can do for a test. */
export interface Profile {
  open(url: string): Promise<Page>
  /** Duplicates the tab with that URL. */
  duplicate(url: string): Promise<Page>
  /** Opens the tab that was closed last. */
  reopen(): Promise<Page>
  /** Quits the browser and starts it again, which restores its tabs. @returns the tab with that URL */
  restart(url: string): Promise<Page>
}

const MANIFEST = {
  manifest_version: 3,
  name: 'tabs',
  version: '1',
  permissions: ['tabs', 'sessions'],
  background: { service_worker: 'worker.js' },
}

/** "On startup: continue where you left off". */
const PREFERENCES = { session: { restore_on_startup: 1 } }

export async function newProfile(t: TestContext): Promise<Profile> {
  const folder = mkdtempSync(join(tmpdir(), 'gradio-state-profile-'))
  t.after(() => rmSync(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 }))
  const extension = join(folder, 'extension')
  mkdirSync(extension)
  writeFileSync(join(extension, 'manifest.json'), JSON.stringify(MANIFEST))
  writeFileSync(join(extension, 'worker.js'), '')
  const userData = join(folder, 'profile')
  mkdirSync(join(userData, 'Default'), { recursive: true })
  writeFileSync(join(userData, 'Default', 'Preferences'), JSON.stringify(PREFERENCES))
  const launch = () =>
    chromium.launchPersistentContext(userData, {
      ...launchOptions,
      executablePath: chromiumPath,
      ignoreDefaultArgs: ['--disable-back-forward-cache', '--disable-extensions'],
      args: [
        ...(launchOptions.args ?? []),
        `--load-extension=${extension}`,
        `--disable-extensions-except=${extension}`,
      ],
    })
  let context = await launch()
  t.after(() => context.close())
  const worker = context.serviceWorkers()[0] ?? (await context.waitForEvent('serviceworker'))
  const opened = async (script: string) => {
    const [tab] = await Promise.all([context.waitForEvent('page'), worker.evaluate(script)])
    await tab.waitForLoadState()
    return tab
  }

  return {
    async open(url) {
      const tab = await context.newPage()
      await tab.goto(url)
      return tab
    },
    duplicate: url =>
      opened(`chrome.tabs.query({ url: '${url}' }).then(([tab]) => chrome.tabs.duplicate(tab.id))`),
    reopen: () => opened('chrome.sessions.restore()'),
    async restart(url) {
      await context.close()
      context = await launch()
      const restored = () => context.pages().find(tab => tab.url() === url)
      await until(() => restored() !== undefined, 'the tab is restored')
      return restored() as Page
    },
  }
}
