import type { TestContext } from 'node:test'
import express from 'express'
import Koa from 'koa'
import type { Page as Client } from '../../../lib/client/index.ts'
import type { GradioState, GradioStateOptions, RequestState } from '../../../lib/index.ts'
import { type FakeClock, fakeClock } from '../../../lib/testing/index.ts'
import { site } from '../http/express.ts'
import { koaSite } from '../http/koa.ts'

declare global {
  interface Window {
    server: Promise<Client>
  }
}

/** In seconds. */
export const GRACE = 60

/** A site on a fake clock that counts in each tab and in each session. */
export interface TabSite {
  readonly origin: string
  readonly gradio: GradioState
  readonly clock: FakeClock
  /** What ran for a tab: `delete 2 @60`. */
  readonly log: readonly string[]
}

/** A page with the client. */
export const clientPage = `<!doctype html><title>Page</title><link rel="icon" href="data:,"><script type="module">
  import { connect } from '/gradio_api/client.js'
  window.server = connect()
</script>`

const plainPage = '<!doctype html><title>Plain</title><link rel="icon" href="data:,">'

/** By path. `/plain` has no client. */
const PAGES: Record<string, string> = {
  '/': clientPage,
  '/other': clientPage,
  '/plain': plainPage,
  '/frame': `${clientPage}<iframe src="/other"></iframe>`,
}

export async function tabSite(
  t: TestContext,
  framework: 'Express' | 'Koa' = 'Express',
  more: GradioStateOptions = {},
): Promise<TabSite> {
  const log: string[] = []
  const clock = fakeClock()
  /** @returns the counts of the tab and of its session */
  const counting = (gradio: GradioState) => {
    const counter = gradio.state('counter', {
      value: 0,
      deleteCallback(count, { session }) {
        if (session.parent) log.push(`delete ${count} @${clock.now() / 1000}`)
      },
    })
    return (state: RequestState) =>
      [state.tab, state].map(scope => {
        scope?.update(counter, count => count + 1)
        return scope?.get(counter) ?? null
      })
  }
  const options = { clock, gracePeriod: GRACE, ...more }

  if (framework === 'Koa') {
    const made = await koaSite(t, Koa, {
      options,
      routes(gradio) {
        const count = counting(gradio)
        const pages = Object.entries(PAGES).map(([path, body]) => [
          `GET ${path}`,
          (ctx: Koa.Context) => {
            ctx.type = 'html'
            ctx.body = body
          },
        ])
        return {
          ...Object.fromEntries(pages),
          'POST /count': (ctx: Koa.Context) => {
            ctx.body = count(ctx.gradioState)
          },
        }
      },
    })
    return { ...made, clock, log }
  }

  const made = await site(t, express, {
    options,
    routes(app, gradio) {
      const count = counting(gradio)
      for (const [path, body] of Object.entries(PAGES)) {
        app.get(path, (_req, res) => void res.type('html').send(body))
      }
      app.post('/count', (req, res) => void res.json(count(req.gradioState)))
      app.post('/login', (req, res, next) => {
        req.session.regenerate(error => {
          if (error) next(error)
          else res.json(count(req.gradioState))
        })
      })
      app.post('/logout', (req, res, next) => {
        req.session.destroy(error => (error ? next(error) : res.json(null)))
      })
    },
  })
  return { ...made, clock, log }
}

/** The operations on a tab or frame of any browser. */
interface Evaluating {
  evaluate(expression: string): Promise<unknown>
}

/** Counts in the page, with `page.fetch`. @returns the counts of its tab and of its session */
export async function count(page: Evaluating, path = '/count'): Promise<unknown> {
  const expression = `server.then(page => page.fetch('${path}', { method: 'POST' })).then(response => response.text())`
  return JSON.parse(String(await page.evaluate(expression)))
}
