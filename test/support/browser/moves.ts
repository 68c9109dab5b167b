import type { Page } from 'playwright-core'
import type { SlowSite, SlowSiteOptions } from './slow-site.ts'

// What users and pages do, on the site of slow-site.ts.

export interface Move extends SlowSiteOptions {
  /** Whether it needs a host that browsers trust, for example for service workers. */
  isTrustedOnly?: boolean
  /** Whether the server doesn't receive the navigation, or can't recognize it. */
  isSilent?: boolean
  /** What happens once the page is connected. */
  prepare?(site: SlowSite): Promise<unknown>
  move(site: SlowSite): Promise<unknown>
}

/** Runs a script in the page, which may navigate. */
export const run = (tab: Page, script: string) => tab.evaluate(`setTimeout(() => { ${script} })`)

/** Clicks on new elements. */
export const click = (tab: Page, body: string) =>
  run(
    tab,
    `document.body.insertAdjacentHTML('beforeend', ${JSON.stringify(body)}); document.body.lastElementChild.click()`,
  )

export const submit = (tab: Page, form: string) =>
  run(
    tab,
    `document.body.insertAdjacentHTML('beforeend', ${JSON.stringify(form)}); document.body.lastElementChild.submit()`,
  )

/** A service worker, and how it handles requests. */
export const worker = (script: string): Pick<Move, 'isTrustedOnly' | 'routes' | 'prepare'> => ({
  isTrustedOnly: true,
  routes: app =>
    void app.get('/worker.js', (_req, res) => {
      res.type('js').send(
        `oninstall = event => event.waitUntil(caches.open('pages').then(cache => cache.add('/')).then(() => skipWaiting()))
         onactivate = event => event.waitUntil(clients.claim())
         onfetch = event => { if (event.request.mode === 'navigate') event.respondWith((${script})(event)) }`,
      )
    }),
  prepare: ({ tab }) =>
    tab.evaluate(async () => {
      const controlled = new Promise(resolve => {
        navigator.serviceWorker.addEventListener('controllerchange', resolve)
      })
      await navigator.serviceWorker.register('/worker.js')
      await controlled
    }),
})

export const reload = ({ tab }: SlowSite) => tab.reload({ waitUntil: 'commit' })
export const form = '<form method="post" action="/search"><input name="q" value="1" /></form>'

export const downloads = ({ tab }: SlowSite, link: string) =>
  Promise.all([tab.waitForEvent('download'), click(tab, link)])

export async function speculates(site: SlowSite, kind: 'prefetch' | 'prerender') {
  const rules = JSON.stringify({ [kind]: [{ urls: ['/next'], eagerness: 'immediate' }] })
  await run(
    site.tab,
    `document.head.append(Object.assign(document.createElement('script'), { type: 'speculationrules', text: '${rules}' }))`,
  )
  await site.requested('GET /next')
}

/** The hosts that a move is tried on. */
export const hosts = ({ isTrustedOnly }: Move): NonNullable<SlowSiteOptions['host']>[] =>
  isTrustedOnly ? ['127.0.0.1'] : ['127.0.0.1', 'app.test']

export async function begin(site: SlowSite, { prepare }: Move) {
  await site.tab.goto(`${site.origin}/`)
  await site.connected()
  await prepare?.(site)
}
