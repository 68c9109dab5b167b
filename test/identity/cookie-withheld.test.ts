// Responses that must not set the library's own cookie, and several cookies with its name.

import assert from 'node:assert/strict'
import { type RequestOptions, request } from 'node:http'
import { it } from 'node:test'
import type { Express, RequestHandler } from 'express'
import type { CookieOptions, GradioStateOptions } from '../../lib/index.ts'
import { type ExpressModule, forEachExpress, site, until } from '../support/http/express.ts'
import { heartbeat } from '../support/pages/handshake.ts'
import { warningsIn } from '../support/warnings.ts'

const own = (routes: (app: Express) => void, options: GradioStateOptions = {}) => ({
  session: false as const,
  options,
  routes,
})

const use: RequestHandler = (req, _res, next) => {
  req.gradioState.set('n', 1)
  next()
}

const sharedCaches: Record<string, RequestHandler> = {
  'Cache-Control: public': (_req, res) => res.set('Cache-Control', 'public, max-age=60').end(),
  's-maxage by writeHead': (_req, res) => res.writeHead(200, { 'cache-control': 'S-MaxAge=60' }).end(),
  's-maxage by an array for writeHead': (_req, res) => {
    res.writeHead(200, ['Cache-Control', 's-maxage=60']).end()
  },
  'CDN-Cache-Control': (_req, res) => res.set('CDN-Cache-Control', 'max-age=60').end(),
  'the name of a CDN': (_req, res) => res.set('Vercel-CDN-Cache-Control', 'max-age=60').end(),
}

const privateAnswers: Record<string, RequestHandler> = {
  'no header': (_req, res) => res.end(),
  private: (_req, res) => res.set('Cache-Control', 'private, max-age=60').end(),
  'CDN-Cache-Control: no-store': (_req, res) => res.set('CDN-Cache-Control', 'no-store').end(),
}

const CROSS_SITE = { 'sec-fetch-site': 'cross-site' }
const LINK = { ...CROSS_SITE, 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document' }
const FRAME = { ...LINK, 'sec-fetch-dest': 'iframe' }
const FETCH = { ...CROSS_SITE, 'sec-fetch-mode': 'cors', 'sec-fetch-dest': 'empty' }

/** Requests, and whether the browser may have withheld the library's own cookie from them: with `SameSite` lax, strict and none. */
const crossSite: [string, { method?: string; headers: Record<string, string> }, boolean, boolean][] = [
  ['a form of another site', { method: 'POST', headers: LINK }, true, true],
  ['a link of another site', { headers: LINK }, false, true],
  ['a frame in another site', { headers: FRAME }, true, true],
  ['a script of another site', { headers: FETCH }, true, true],
  [
    'another host of the site',
    { method: 'POST', headers: { ...LINK, 'sec-fetch-site': 'same-site' } },
    false,
    false,
  ],
  ['the own origin', { method: 'POST', headers: { ...LINK, 'sec-fetch-site': 'same-origin' } }, false, false],
  ['an address that was typed', { headers: { ...LINK, 'sec-fetch-site': 'none' } }, false, false],
]

/** The cookies that a response sets. Without `fetch`, which sends its own `Sec-Fetch-Mode`. */
function cookiesFrom(url: string, init: RequestOptions): Promise<string[] | undefined> {
  return new Promise((resolve, reject) => {
    const sent = request(url, init, response => {
      response.resume().on('end', () => resolve(response.headers['set-cookie']))
    })
    sent.on('error', reject).end()
  })
}

/** The results of a first request with that route and these headers. */
async function outcomeOf(
  t: Parameters<typeof site>[0],
  express: ExpressModule,
  handler: RequestHandler,
  { options, ...init }: RequestOptions & { options?: GradioStateOptions } = {},
) {
  const served = await site(
    t,
    express,
    own(app => void app.all('/a', use, handler), options),
  )
  const { origin, gradio } = served
  const cookies = await cookiesFrom(`${origin}/a?secret=1`, init)
  await until(() => gradio.stats().open === 0)
  const { sessions, ended } = gradio.stats()
  return { sessions, ended: ended.ended, hasCookie: cookies !== undefined }
}

forEachExpress((_name, express) => {
  for (const [name, handler] of Object.entries(sharedCaches)) {
    it(`no cookie on a response that shared caches may store: ${name}`, async t => {
      const warnings = warningsIn(t)
      const { sessions, ended, hasCookie } = await outcomeOf(t, express, handler)
      assert.deepEqual([hasCookie, sessions, ended], [false, 0, 1])
      assert.ok(warnings.includes('GRADIO_STATE_SHARED_CACHE'))
    })
  }

  for (const [name, handler] of Object.entries(privateAnswers)) {
    it(`the cookie is set on a private response: ${name}`, async t => {
      const warnings = warningsIn(t)
      const { sessions, ended, hasCookie } = await outcomeOf(t, express, handler)
      assert.deepEqual([hasCookie, sessions, ended], [true, 1, 0])
      assert.deepEqual(warnings, [])
    })
  }

  it('the warning names each route once, without its query', async t => {
    const messages: string[] = []
    const listen = (warning: Error) => messages.push(warning.message.slice(0, 12))
    process.on('warning', listen)
    t.after(() => process.off('warning', listen))
    const send: RequestHandler = (_req, res) => res.set('Cache-Control', 'public').end()
    const { visitor } = await site(
      t,
      express,
      own(app => void app.get(['/one/', '/two/'], use, send)),
    )
    for (const path of ['/one/?a=1', '/one/?b=2', '/two/']) await visitor().fetch(path)
    await until(() => messages.length === 2)
    assert.deepEqual(messages, ['GET /one/ st', 'GET /two/ st'])
  })

  it('a user with the cookie can use the state on such a route', async t => {
    const send: RequestHandler = (req, res) => {
      res.set('Cache-Control', 'public').end(String(req.gradioState.get('n')))
    }
    const { gradio, visitor } = await site(
      t,
      express,
      own(app => {
        app.get('/begin', use, (_req, res) => res.end())
        app.get('/public', send)
      }),
    )
    const user = visitor()
    await user.fetch('/begin')
    const answer = await user.fetch('/public')
    assert.deepEqual([await answer.text(), answer.headers.getSetCookie()], ['1', []])
    await until(() => gradio.stats().open === 0)
    assert.equal(gradio.stats().sessions, 1)
  })

  for (const sameSite of ['lax', 'strict', 'none'] as const) {
    for (const [name, init, byLax, byStrict] of crossSite) {
      const isWithheld = { lax: byLax, strict: byStrict, none: false }[sameSite]
      it(`SameSite=${sameSite}, ${name}: ${isWithheld ? 'no cookie' : 'a cookie'}`, async t => {
        const warnings = warningsIn(t)
        const { sessions, ended, hasCookie } = await outcomeOf(t, express, (_req, res) => res.end(), {
          ...init,
          options: { cookie: { sameSite } },
        })
        assert.deepEqual([hasCookie, sessions, ended], [!isWithheld, isWithheld ? 0 : 1, isWithheld ? 1 : 0])
        assert.deepEqual(warnings, isWithheld ? ['GRADIO_STATE_CROSS_SITE_REQUEST'] : [])
      })
    }
  }

  it('the warning about requests from other sites is emitted once', async t => {
    const warnings = warningsIn(t)
    const { visitor } = await site(
      t,
      express,
      own(app => void app.all('/a', use, (_req, res) => res.end())),
    )
    for (let times = 0; times < 3; times++) await visitor().fetch('/a', { method: 'POST', headers: LINK })
    assert.deepEqual(warnings, ['GRADIO_STATE_CROSS_SITE_REQUEST'])
  })

  it('of several own cookies the first is used, and one warning is emitted', async t => {
    const warnings = warningsIn(t)
    const { origin } = await site(
      t,
      express,
      own(app => void app.get('/id', (req, res) => res.end(req.gradioState.id))),
    )
    const [a, b] = [`m.${'a'.repeat(22)}`, `m.${'b'.repeat(22)}`]
    const idWith = async (cookie: string) => (await fetch(`${origin}/id`, { headers: { cookie } })).text()
    const id = await idWith(`gradio_state=${a}`)
    assert.equal(await idWith(`x_gradio_state=1; gradio_state=${a}`), id)
    assert.deepEqual(warnings, [])
    assert.equal(await idWith(`gradio_state=${a}; gradio_state=${b}`), id)
    assert.notEqual(await idWith(`gradio_state=${b};gradio_state=${a}`), id)
    assert.deepEqual(warnings, ['GRADIO_STATE_SEVERAL_COOKIES'])
  })

  it('two apps on two ports of one host keep their users separate', async t => {
    const count: RequestHandler = (req, res) => {
      const n = ((req.gradioState.get('n') as number | undefined) ?? 0) + 1
      req.gradioState.set('n', n)
      res.end(String(n))
    }
    const apps = [
      await site(
        t,
        express,
        own(app => void app.get('/count', count)),
      ),
      await site(
        t,
        express,
        own(app => void app.get('/count', count)),
      ),
    ] as const
    const [user, same] = [apps[0].visitor(), apps[1].visitor()]
    const counts: string[] = []
    for (let times = 0; times < 3; times++) {
      counts.push(await (await user.fetch('/count')).text())
      for (const [name, value] of user.cookies) same.cookies.set(name, value)
      counts.push(await (await same.fetch('/count')).text())
      for (const [name, value] of same.cookies) user.cookies.set(name, value)
    }
    assert.deepEqual(counts, ['1', '1', '2', '2', '3', '3'])
  })

  it('a partitioned cookie is partitioned if it is secure', async t => {
    const lineOf = async (cookie: CookieOptions, headers: Record<string, string>) => {
      const setup = own(app => void app.get('/a', use, (_req, res) => res.end()), { cookie })
      const { app, visitor } = await site(t, express, setup)
      app.set('trust proxy', true)
      return (await visitor().fetch('/a', { headers })).headers.getSetCookie().join()
    }
    const https = { 'x-forwarded-proto': 'https' }
    for (const cookie of [{ partitioned: true }, { sameSite: 'none' } as const]) {
      assert.match(await lineOf(cookie, https), /; Secure.*; Partitioned/)
      assert.doesNotMatch(await lineOf(cookie, {}), /Partitioned/)
    }
    for (const cookie of [{}, { sameSite: 'none', partitioned: false } as const]) {
      assert.doesNotMatch(await lineOf(cookie, https), /Partitioned/)
    }
  })

  it('a page of a listed origin of another site stays open without its cookie', async t => {
    const origin = 'https://front.example'
    const { gradio, visitor } = await site(
      t,
      express,
      own(() => {}, { origins: [origin] }),
    )
    const user = visitor()
    const { status } = await heartbeat(user, 'page', { headers: { ...FETCH, origin } })
    assert.deepEqual([status, user.cookies.size, gradio.stats().pages], [200, 0, 1])
  })
})
