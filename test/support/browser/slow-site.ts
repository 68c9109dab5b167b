import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import express, { type Express } from 'express'
import type { Browser, Page } from 'playwright-core'
import type { GradioStateOptions } from '../../../lib/index.ts'
import { site } from '../http/express.ts'
import { deferred } from '../sessions/harness.ts'
import { until } from './browser.ts'

/** The operations of a site on a tab or frame, in any browser. */
export interface Tab {
  evaluate(expression: string): Promise<unknown>
}

/** A site on a fake clock, whose pages load as slowly as a test requires. */
export interface SlowSite<T extends Tab = Page> {
  readonly origin: string
  readonly port: number
  readonly tab: T
  /** The requests since the last {@link hold}: method and path. */
  readonly requests: readonly string[]
  /** Resolves when {@link SlowSite.hold} allows it. */
  gate(): Promise<void>
  /** Until the returned function is called, scripts of pages don't load, nor does anything else that waits for the gate. */
  hold(): () => void
  /** After {@link hold}: waits until a new document has replaced the page, and loads its script. */
  replaced(): Promise<void>
  /** Waits until that many pages are connected, and the last one has its socket. */
  connected(pages?: number, last?: Tab): Promise<void>
  /** Waits until something was requested. */
  requested(request: string): Promise<void>
  /** Advances the time. @returns how many unloads there were since the start */
  advance(seconds: number): Promise<number>
  /** Advances the time, and expects that no session is unloaded. */
  keepsFor(seconds: number): Promise<void>
  /** Closes the last tab, and expects an unload 2 s later, or 3.5 s if the goodbye was lost. */
  unloadsWhenClosed(last?: { close(): Promise<void> }): Promise<void>
}

export interface SlowSiteOptions {
  /** A host that browsers trust without https, or one that they don't. @default the former */
  host?: '127.0.0.1' | 'app.test'
  /** Whether the HTML comes from another server, which passes on the rest. */
  htmlFromElsewhere?: boolean
  options?: GradioStateOptions
  routes?(app: Express, site: Pick<SlowSite, 'gate'>): void
}

/** With this, {@link SlowSite.connected} detects whether a page has its socket. */
export const REMEMBER_SOCKET =
  'window.WebSocket = class extends WebSocket { constructor(url) { window.socket = super(url) } }'

/** A page of the site. Its client runs when the script before it has loaded. XHTML has no module scripts in Chromium. */
export const html = (body = '', connects = true): string =>
  `<!DOCTYPE html><html xmlns="http://www.w3.org/1999/xhtml"><head><title>Page</title><link rel="icon" href="data:," />
  <script src="/slow.js"></script>${connects ? '<script>import("/gradio_api/client.js")</script>' : ''}
  </head><body>${body}</body></html>`

export async function slowSite(
  t: TestContext,
  browser: Pick<Browser, 'newContext'>,
  options?: SlowSiteOptions,
): Promise<SlowSite> {
  const context = await browser.newContext({ acceptDownloads: true })
  t.after(() => context.close())
  await context.addInitScript(REMEMBER_SOCKET)
  return slowSiteFor(t, await context.newPage(), options)
}

/** A site for a tab of any browser. The tab has to run {@link REMEMBER_SOCKET} in each document. */
export async function slowSiteFor<T extends Tab & { close(): Promise<void> }>(
  t: TestContext,
  tab: T,
  { host = '127.0.0.1', htmlFromElsewhere = false, options, routes }: SlowSiteOptions = {},
): Promise<SlowSite<T>> {
  const unloads: number[] = []
  const requests: string[] = []
  let held: Promise<void> | undefined
  const pages = express()
  const { gradio, clock, port } = await site(t, express, {
    session: false,
    ...(options && { options }),
    before: [
      (req, _res, next) => {
        requests.push(`${req.method} ${req.path}`)
        next()
      },
      // Mounted before the library, it acts like another server, whose requests the library doesn't receive.
      ...(htmlFromElsewhere ? [pages] : []),
    ],
    routes: app => app.use(pages),
  })
  gradio.unload(() => unloads.push(clock.now() / 1000))

  const self: SlowSite<T> = {
    origin: `http://${host}:${port}`,
    port,
    tab,
    requests,
    gate: async () => held,
    hold() {
      const { promise, resolve } = deferred()
      requests.length = 0
      held = promise
      t.after(() => resolve())
      return () => {
        held = undefined
        resolve()
      }
    },
    async connected(count = 1, last: Tab = tab) {
      await until(() => gradio.stats().pages === count, `${count} pages are connected`)
      // Fails while a document replaces another one.
      const isOpen = () => last.evaluate('window.socket?.readyState === WebSocket.OPEN').catch(() => false)
      if (count > 0) await until(isOpen, 'the page has its socket')
    },
    async replaced() {
      await self.requested('GET /slow.js')
      await self.connected(0)
    },
    requested: request => until(() => requests.includes(request), `the request ${request}`),
    async advance(seconds) {
      await clock.advance(seconds)
      return unloads.length
    },
    async keepsFor(seconds) {
      await clock.advance(seconds)
      assert.deepEqual(unloads, [])
    },
    async unloadsWhenClosed(last: { close(): Promise<void> } = tab) {
      await last.close()
      await until(() => gradio.stats().open === 0, 'the page has left, and no request is in flight')
      const closedAt = clock.now() / 1000
      await clock.advance(40)
      const [seconds = Number.NaN] = unloads.map(at => at - closedAt)
      assert.ok(seconds <= 3.5, `unloaded after ${seconds} s`)
      assert.equal(unloads.length, 1)
    },
  }
  pages.get('/slow.js', async (_req, res) => {
    await held
    res.type('js').set('Cache-Control', 'no-store').send('')
  })
  routes?.(pages, self)
  pages.get('/', (_req, res) => res.send(html()))
  return self
}
