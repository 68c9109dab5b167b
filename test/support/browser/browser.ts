import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { after, before } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { type Browser, type BrowserContext, chromium, type LaunchOptions, type Page } from 'playwright-core'
import { visitor } from '../../../lib/testing/index.ts'
import { program } from '../program.ts'

const root = fileURLToPath(new URL('../../..', import.meta.url))

/** How many seconds to wait for something that a busy machine may delay. */
const PATIENCE = 120

export const chromiumPath = process.env.CHROMIUM_PATH ?? '/usr/bin/chromium'
/**
 * Chromium without windows, which opens a page in a fifth of the time. The binary itself: /usr/bin has a script that starts it, and that
 * doesn't pass on a signal.
 */
const shellPath = process.env.CHROMIUM_SHELL_PATH ?? '/usr/lib/chromium/chromium-headless-shell'

export const launchOptions: LaunchOptions = {
  timeout: PATIENCE * 1000,
  executablePath: existsSync(shellPath) ? shellPath : chromiumPath,
  ignoreDefaultArgs: ['--disable-back-forward-cache'],
  args: [
    '--no-sandbox',
    '--disable-gpu',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
    // A host name in a LAN: over plain http, browsers disable the features of secure origins for it.
    '--host-resolver-rules=MAP app.test 127.0.0.1',
  ],
}

export type TestBrowser = Pick<Browser, 'newContext' | 'newBrowserCDPSession'>

/** Those that suites of this process use or will use. */
const shared = new Map<string, { suites: number; launched?: Promise<Browser> }>()

export interface BrowserSettings {
  /** More arguments. */
  args?: readonly string[]
  /** Whether it has windows: without them it hides no tab, and has no back/forward cache. @default false */
  hasWindows?: boolean
}

/** A Chromium that the suites of a file share. Each test takes a context of its own: a user with cookies of their own. */
export function useBrowser({ args = [], hasWindows = false }: BrowserSettings = {}): TestBrowser {
  const options = { ...launchOptions, args: [...(launchOptions.args ?? []), ...args] }
  if (hasWindows) options.executablePath = chromiumPath
  const key = JSON.stringify(options)
  const sharing = shared.get(key) ?? { suites: 0 }
  shared.set(key, sharing)
  sharing.suites++
  let browser: Browser
  before(async () => {
    sharing.launched ??= chromium.launch(options)
    browser = await sharing.launched
  })
  after(async () => {
    if (--sharing.suites === 0) await browser?.close()
  })
  return {
    async newContext(options) {
      // The example app's animations would be drawn all the time, without a graphics card.
      const context = await browser.newContext({ reducedMotion: 'reduce', ...options })
      context.setDefaultTimeout(PATIENCE * 1000)
      return context
    },
    newBrowserCDPSession: () => browser.newBrowserCDPSession(),
  }
}

/** Real time passes at the pace of the machine, so tests wait for a condition, with a generous limit. */
export async function until(
  condition: () => unknown,
  what = String(condition),
  seconds = PATIENCE,
): Promise<void> {
  const giveUp = performance.now() + seconds * 1000
  while (!(await condition())) {
    if (performance.now() > giveUp) assert.fail(`Expected within ${seconds} s: ${what}`)
    await sleep(10)
  }
}

/** The example app on each framework, by the file that starts it. */
const SERVERS = { Express: 'server.ts', Koa: 'server-koa.ts' }

export type AppName = keyof typeof SERVERS

export const APPS = Object.keys(SERVERS) as AppName[]

/** The example app in a separate process, and its output. */
export interface Example {
  readonly url: string
  readonly port: number
  /** Contains a directory for each user, named by the id of the session. */
  readonly pictureDir: string
  readonly process: ChildProcess
  readonly lines: readonly string[]
  /** How many lines start with it. */
  count(prefix: string): number
  /** Waits for a line that starts with it, and returns it. */
  line(prefix: string): Promise<string>
  /** Kills the process, if it is still running. */
  stop(): Promise<void>
}

export async function startExample(
  settings: Record<string, string> = {},
  app: AppName = 'Express',
): Promise<Example> {
  const folder = await mkdtemp(path.join(tmpdir(), 'gradio-state-browser-'))
  const pictureDir = path.join(folder, 'pictures')
  const child = spawn(process.execPath, program(`example-app/${SERVERS[app]}`), {
    cwd: root,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, PORT: '0', PICTURE_DIR: pictureDir, GRACE_PERIOD: '3600', ...settings },
  })
  const lines: string[] = []
  for (const stream of [child.stdout, child.stderr]) {
    createInterface(stream).on('line', line => lines.push(line))
  }
  const find = (prefix: string) => lines.find(line => line.startsWith(prefix))
  const line = async (prefix: string) => {
    const isOver = () => find(prefix) !== undefined || child.exitCode !== null
    await until(isOver, `the line ${prefix}`).catch(() => {})
    return find(prefix) ?? assert.fail(`Expected the line '${prefix}', received ${lines.join('\n')}`)
  }
  const stop = async () => {
    if (child.exitCode === null && child.signalCode === null) {
      child.kill('SIGKILL')
      await once(child, 'exit')
    }
    await rm(folder, { recursive: true, force: true })
  }

  try {
    const url = (await line('Listening on ')).replace('Listening on ', '')
    const count = (prefix: string) => lines.filter(line => line.startsWith(prefix)).length
    return { url, port: Number(new URL(url).port), pictureDir, process: child, lines, count, line, stop }
  } catch (error) {
    await stop()
    throw error
  }
}

/** One example app for all tests of a file. */
export function useExample(settings: Record<string, string> = {}, app?: AppName): () => Example {
  let example: Example | undefined
  before(async () => {
    example = await startExample(settings, app)
  })
  after(() => example?.stop())
  return () => example ?? assert.fail('Expected the example app to run')
}

/** Opens the example's page; resolves when it shows a picture. */
export async function open(context: BrowserContext, url: string): Promise<Page> {
  const tab = await context.newPage()
  await tab.goto(url)
  await picture(tab)
  return tab
}

/** The name of the picture that the page shows; waits for one. */
export async function picture(tab: Page): Promise<string> {
  await tab.waitForFunction(() => {
    const image = document.querySelector<HTMLImageElement>('#frame img')
    return image?.complete && image.naturalWidth === 100
  })
  return (await tab.textContent('#caption')) ?? ''
}

/**
 * Presses the button, waits for the picture, and returns its name. Uses the response, since the page also shows pictures of other
 * tabs, whenever it polls.
 */
export async function generate(tab: Page): Promise<string> {
  const [answer] = await Promise.all([
    tab.waitForResponse(response => response.url().endsWith('/generate')),
    tab.click('#generate'),
  ])
  const { pictures } = (await answer.json()) as { pictures: { name: string }[] }
  const name = pictures.at(-1)?.name ?? assert.fail('Expected a picture')
  await tab.waitForFunction(
    name =>
      [...document.querySelectorAll('#gallery button')].some(button => button.getAttribute('name') === name),
    name,
  )
  await picture(tab)
  return name
}

/** The names of all pictures that the page shows. */
export function gallery(tab: Page): Promise<string[]> {
  return tab.$$eval('#gallery button', buttons => buttons.map(button => button.getAttribute('name') ?? ''))
}

/** The session whose directory contains the picture. */
export function sessionWith({ pictureDir }: Example, picture: string): string {
  const id = readdirSync(pictureDir).find(id => existsSync(path.join(pictureDir, id, picture)))
  return id ?? assert.fail(`Expected ${picture} in a directory of ${pictureDir}`)
}

/** The session that a page is in. */
export async function sessionOf(example: Example, tab: Page): Promise<string> {
  return sessionWith(example, await picture(tab))
}

/** Whether the client in the page says that the server counts it. */
export function isConnected(tab: Page): Promise<boolean> {
  return tab.evaluate(async () => {
    const client: string = '/gradio_api/client.js'
    const { connect } = await import(client)
    return (await connect()).connected
  })
}

/**
 * Waits for as long as it takes to detect that a user has left: another user's page disconnects now, without a goodbye,
 * and its unload is awaited. A user who had left before that would be unloaded by then.
 */
export async function unloadDelayPasses(example: Example): Promise<void> {
  const witness = visitor(`http://127.0.0.1:${example.port}`)
  const page = await witness.openPage()
  const answer = await witness.fetch('/start', { method: 'POST' })
  const { pictures } = (await answer.json()) as { pictures: [{ name: string }] }
  const id = sessionWith(example, pictures[0].name)
  await page.crash()
  await example.line(`UNLOAD ${id}`)
}
