// express-session behaves exactly the same with the library as without it: same responses, same calls of the store.

import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { Agent, type IncomingHttpHeaders, request } from 'node:http'
import { it, type TestContext } from 'node:test'
import type { ErrorRequestHandler, Express, Request, RequestHandler } from 'express'
import session, { type SessionOptions } from 'express-session'
import { gradioState } from '../../lib/index.ts'
import { fakeClock } from '../../lib/testing/index.ts'
import { type ExpressModule, forEachExpress, serve } from '../support/http/express.ts'
import { closeNow } from '../support/sessions/close-now.ts'
import { TroubledStore } from '../support/stores/troubled-store.ts'

/** All options of express-session. */
const OPTIONS: Partial<SessionOptions>[] = [false, true].flatMap(saveUninitialized =>
  [false, true].flatMap(resave =>
    [false, true].flatMap(rolling =>
      (['keep', 'destroy'] as const).flatMap(unset =>
        [{}, { maxAge: 60_000 }].map(cookie => ({ saveUninitialized, resave, rolling, unset, cookie })),
      ),
    ),
  ),
)

/** The requests of one browser, one after another; `wait` lets half a lifetime pass. */
const SCRIPT = [
  'nothing change nothing nothing wait nothing same nothing',
  'regenerate nothing change regenerate nothing save nothing reload nothing',
  'touch nothing maxage nothing endless nothing stream nothing changestream nothing',
  'fail nothing change destroy nothing change unset nothing change nothing wait wait wait nothing',
  'replace nothing head destroysave nothing',
]
  .join(' ')
  .split(' ')

type Trouble = 'none' | 'get' | 'set' | 'touch' | 'destroy'

const HANDLERS: Record<string, (req: Request, done: (error?: unknown) => void) => void> = {
  nothing: (_req, done) => done(),
  head: (_req, done) => done(),
  change: (req, done) => {
    Object.assign(req.session, { count: ((req.session as { count?: number }).count ?? 0) + 1 })
    done()
  },
  same: (req, done) => {
    Object.assign(req.session, { ...req.session })
    done()
  },
  regenerate: (req, done) => req.session.regenerate(done),
  save: (req, done) => req.session.save(done),
  reload: (req, done) => req.session.reload(done),
  touch: (req, done) => {
    req.session.touch()
    done()
  },
  maxage: (req, done) => {
    req.session.cookie.maxAge = 90_000
    done()
  },
  endless: (req, done) => {
    Object.assign(req.session.cookie, { expires: null })
    done()
  },
  destroy: (req, done) => req.session.destroy(done),
  destroysave: (req, done) => {
    const { session } = req
    session.destroy(() => session.save(done))
  },
  unset: (req, done) => {
    Object.assign(req, { session: null })
    done()
  },
  replace: (req, done) => {
    req.sessionStore.generate(req)
    done()
  },
  fail: (_req, done) => done(new Error('the app has failed')),
}

/** Runs the script against an app; returns everything that can be observed from outside. */
async function record(
  t: TestContext,
  module: ExpressModule,
  options: Partial<SessionOptions>,
  trouble: Trouble,
  between: RequestHandler[],
): Promise<unknown[]> {
  const seen: unknown[] = []
  let [wall, ids, calls] = [Date.UTC(2026, 0, 1), 0, 0]
  // Without `t.mock`, which records each call.
  const { now } = Date
  Date.now = () => wall
  t.after(() => {
    Date.now = now
  })
  const store = noting(seen)
  store.trouble = method => (method === trouble && calls++ % 3 === 1 ? new Error('trouble') : undefined)
  const app = module()
  app.set('env', 'test')
  app.use(session({ secret: 'a secret', genid: () => `id-${ids++}`, store, ...options } as SessionOptions))
  for (const handler of between) app.use(handler)
  routes(app, seen)
  const { port } = await serve(t, app)
  const ask = browser(t, port)
  for (const step of SCRIPT) {
    if (step === 'wait') {
      wall += 30_000
      continue
    }
    try {
      seen.push({ step, ...(await ask(`/${step}`, step === 'head' ? 'HEAD' : 'GET')) })
    } catch (error) {
      // Some errors of a store break the response of express-session.
      seen.push({ step, error: (error as Error).message })
    }
    await new Promise(setImmediate)
  }
  Date.now = now
  return seen
}

interface Answer {
  readonly status: number | undefined
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

/** Sends requests one after another, with the cookie that was set last. `fetch` takes several times as long for each. */
function browser(t: TestContext, port: number): (path: string, method: string) => Promise<Answer> {
  const agent = new Agent({ keepAlive: true })
  t.after(() => agent.destroy())
  let cookie: string | undefined
  return (path, method) =>
    new Promise((resolve, reject) => {
      const options = { agent, port, host: '127.0.0.1', path, method, headers: cookie ? { cookie } : {} }
      const sent = request(options, res => {
        const { date: _date, ...headers } = res.headers
        cookie = headers['set-cookie']?.[0]?.split(';')[0] ?? cookie
        let body = ''
        res.setEncoding('utf8')
        res.on('data', text => {
          body += text
        })
        res.on('end', () => resolve({ status: res.statusCode, headers, body }))
        res.on('error', reject)
      })
      sent.on('error', reject)
      sent.end()
    })
}

function routes(app: Express, seen: unknown[]): void {
  app.get(/stream$/, (req, res) => {
    if (req.path === '/changestream') Object.assign(req.session, { streamed: true })
    res.write('one')
    setImmediate(() => res.end('two'))
  })
  app.get('/:step', (req, res, next) => {
    HANDLERS[req.params.step as string]!(req, error => {
      if (error) next(error)
      else res.json({ id: req.sessionID, session: req.session })
    })
  })
  const tell: ErrorRequestHandler = ({ message }, _req, res, _next) => {
    seen.push({ error: message })
    if (!res.headersSent) res.status(500).json({ message })
  }
  app.use(tell)
}

function noting(seen: unknown[]): TroubledStore {
  const store = new TroubledStore()
  for (const name of ['get', 'set', 'touch', 'destroy'] as const) {
    const method = store[name] as (...given: unknown[]) => void
    Object.assign(store, {
      [name]: (...given: unknown[]) => {
        seen.push({
          call: name,
          given: given.map(value => (typeof value === 'function' ? 'done' : JSON.stringify(value))),
        })
        method.apply(store, given)
      },
    })
  }
  return store
}

/** Everything that the library does to a session at its first use. */
const mark: RequestHandler = (req, _res, next) => {
  const token = createHash('sha256').update(req.sessionID).digest().toString('base64url', 16)
  Object.assign(req.session, { gradioState: { token } })
  next()
}

const use: RequestHandler = (req, _res, next) => {
  void req.gradioState.id
  next()
}

/** Half of them for each version, so that each is tested with one, and any two values of two options with both. */
const optionsFor = (name: string) =>
  OPTIONS.filter(({ saveUninitialized, resave, rolling, unset, cookie = {} }) => {
    const set = [saveUninitialized, resave, rolling, unset === 'keep', 'maxAge' in cookie].filter(Boolean)
    return set.length % 2 === (name.endsWith('5') ? 1 : 0)
  })

const SOME = OPTIONS.filter(({ rolling, unset }) => rolling && unset === 'destroy')

forEachExpress((name, module) => {
  for (const trouble of ['none', 'get', 'set', 'touch', 'destroy'] as const) {
    for (const isUsed of [false, true]) {
      // If saving the marker has failed, it is saved with the next change, and not separately.
      if (isUsed && trouble === 'set') continue
      it(`${isUsed ? 'used' : 'unused'}, it changes nothing; fault of the store: ${trouble}`, async t => {
        for (const options of trouble === 'none' ? optionsFor(name) : SOME) {
          const clock = fakeClock()
          const gradio = gradioState({ clock })
          gradio.on('error', () => {})
          const without = await record(t, module, options, trouble, isUsed ? [mark] : [])
          const beside = await record(t, module, options, trouble, isUsed ? [gradio, use] : [gradio])
          await closeNow(gradio, clock)
          for (const [index, expected] of without.entries()) {
            assert.deepEqual(beside[index], expected, `event ${index} with ${JSON.stringify(options)}`)
          }
          assert.equal(beside.length, without.length)
        }
      })
    }
  }
})
