import assert from 'node:assert/strict'
import { it } from 'node:test'
import type { IRouter, RequestHandler } from 'express'
import { tokenOfFrameworkSession, tokenOfUser } from '../../lib/identity/token.ts'
import type { GradioStateOptions } from '../../lib/index.ts'
import { gradioState } from '../../lib/index.ts'
import { fakeClock, type Visitor } from '../../lib/testing/index.ts'
import { forEachExpress, idle, json, serve, site } from '../support/http/express.ts'

const POST = { method: 'POST' }

const sendId: RequestHandler = (req, res) => {
  res.json({ id: req.gradioState.id })
}

function routes(app: IRouter) {
  app.get('/id', sendId)
  app.get('/nothing', (_req, res) => res.send('nothing'))
}

const idOf = async (user: Visitor) => (await json<{ id: string }>(user.fetch('/id'))).body.id

/** The attributes of the cookie that a response sets, without its value. */
function attributesOf(answer: Response, name = 'gradio_state'): string[] {
  const line = answer.headers.getSetCookie().find(line => line.startsWith(`${name}=`))
  assert.ok(line, `Expected a cookie ${name}`)
  return line.split('; ').slice(1).sort()
}

forEachExpress((_name, express) => {
  const own = (options: GradioStateOptions = {}) => ({ session: false as const, options, routes })

  it('the cookie is HttpOnly, SameSite=Lax and for the whole site, and set once', async t => {
    const { visitor } = await site(t, express, own())
    const user = visitor()
    const answer = await user.fetch('/id')
    assert.deepEqual(attributesOf(answer), ['HttpOnly', 'Max-Age=86400', 'Path=/', 'SameSite=Lax'])
    const again = await user.fetch('/id')
    assert.deepEqual(again.headers.getSetCookie(), [])
    const { id } = (await answer.json()) as { id: string }
    assert.equal(((await again.json()) as { id: string }).id, id)
    assert.ok(!user.cookies.get('gradio_state')?.includes(id), 'the id of the session is no credential')
  })

  it('a request that does not use the state gets no cookie', async t => {
    const { gradio, visitor } = await site(t, express, own())
    const user = visitor()
    const answers = [
      await user.fetch('/nothing'),
      await user.fetch('/gradio_api/client.js'),
      await user.fetch('/gradio_api/pagehide/page?n=1', POST),
    ]
    for (const answer of answers) assert.deepEqual(answer.headers.getSetCookie(), [])
    assert.equal(gradio.stats().sessions, 0)
  })

  it('a first page gets the cookie with its heartbeat, and later pages get the same one', async t => {
    const { visitor } = await site(t, express, own())
    const user = visitor()
    const first = await user.fetch('/gradio_api/heartbeat/page?n=1', POST)
    assert.deepEqual(attributesOf(first), ['HttpOnly', 'Max-Age=86400', 'Path=/', 'SameSite=Lax'])
    const second = await user.fetch('/gradio_api/heartbeat/page?n=1', POST)
    assert.deepEqual(second.headers.getSetCookie(), first.headers.getSetCookie().slice(0, 1))
  })

  it('the cookie is Secure on https, as a trusted proxy reports it', async t => {
    const https = { headers: { 'x-forwarded-proto': 'https' } }
    for (const isTrusted of [true, false]) {
      const { app, visitor } = await site(t, express, own())
      app.set('trust proxy', isTrusted)
      const attributes = attributesOf(await visitor().fetch('/id', https))
      assert.equal(attributes.includes('Secure'), isTrusted)
      assert.ok(!attributesOf(await visitor().fetch('/id')).includes('Secure'), 'not Secure on http')
    }
  })

  it('name and attributes can be configured', async t => {
    const cookie = { name: 'mine', path: '/app', domain: 'example.com', maxAge: '1d', secure: true } as const
    const { visitor } = await site(t, express, own({ cookie: { ...cookie, sameSite: 'none' } }))
    assert.deepEqual(attributesOf(await visitor().fetch('/id'), 'mine'), [
      'Domain=example.com',
      'HttpOnly',
      'Max-Age=86400',
      'Partitioned',
      'Path=/app',
      'SameSite=None',
      'Secure',
    ])
  })

  it('mounted on a sub-path, the cookie has that path', async t => {
    const app = express()
    app.use('/tool', gradioState({ clock: fakeClock() }))
    app.get('/tool/id', sendId)
    const { visitor } = await serve(t, app)
    const user = visitor()
    assert.ok(attributesOf(await user.fetch('/tool/id')).includes('Path=/tool'), 'Path=/tool')
    const page = await user.fetch('/tool/gradio_api/heartbeat/page?n=1', POST)
    assert.equal(page.status, 200)
    assert.ok(attributesOf(page).includes('Path=/tool'), 'Path=/tool')
  })

  it('a first use inside a nested router sets no cookie with its path', async t => {
    const { gradio, visitor } = await site(t, express, {
      session: false,
      routes(app) {
        const router = express.Router()
        routes(router)
        app.use('/deep/down', router)
        app.get('/id', sendId)
      },
    })
    const user = visitor()
    const answer = await user.fetch('/deep/down/id')
    assert.ok(attributesOf(answer).includes('Path=/'), 'Path=/')
    assert.equal(gradio.stats().sessions, 1)
  })

  const others: Record<string, RequestHandler> = {
    "an app's setHeader before": (req, res) => {
      res.setHeader('Set-Cookie', 'theirs=1')
      sendId(req, res, () => {})
    },
    "an app's setHeader after": (req, res) => {
      const { id } = req.gradioState
      res.setHeader('Set-Cookie', ['theirs=1', 'second=2'])
      res.json({ id })
    },
    "an app's res.cookie": (req, res) => {
      const { id } = req.gradioState
      res.cookie('theirs', '1').json({ id })
    },
    'writeHead with an object': (req, res) => {
      const { id } = req.gradioState
      res.writeHead(200, { 'Set-Cookie': 'theirs=1' }).end(JSON.stringify({ id }))
    },
    'writeHead with a reason and an object': (req, res) => {
      const { id } = req.gradioState
      res.writeHead(200, 'Fine', { 'Set-Cookie': ['theirs=1'] }).end(JSON.stringify({ id }))
    },
    'writeHead with an array': (req, res) => {
      const { id } = req.gradioState
      res.writeHead(200, ['Set-Cookie', 'theirs=1']).end(JSON.stringify({ id }))
    },
    flushHeaders: (req, res) => {
      const { id } = req.gradioState
      res.setHeader('Set-Cookie', 'theirs=1')
      res.flushHeaders()
      res.end(JSON.stringify({ id }))
    },
  }
  for (const [name, handler] of Object.entries(others)) {
    it(`both cookies survive ${name}`, async t => {
      const { visitor } = await site(t, express, {
        session: false,
        routes(app) {
          app.get('/other', handler)
          routes(app)
        },
      })
      const user = visitor()
      const { body } = await json<{ id: string }>(user.fetch('/other'))
      assert.equal(user.cookies.get('theirs'), '1')
      assert.equal(await idOf(user), body.id)
    })
  }

  it('an invalid token is never accepted', async t => {
    const { gradio, visitor } = await site(t, express, own())
    const user = visitor()
    const id = await idOf(user)
    const real = user.cookies.get('gradio_state') as string
    const malformed = [
      'guess',
      'm.',
      `m.${'0'.repeat(21)}`,
      `m.${'0'.repeat(65)}`,
      `${real}=`,
      `${real}.`,
      `i.${'0'.repeat(64)}`,
      tokenOfUser('alice'),
      tokenOfFrameworkSession('an id'),
      id,
      '__proto__',
    ]
    for (const value of malformed) {
      const stranger = visitor()
      stranger.cookies.set('gradio_state', value)
      assert.equal((await stranger.fetch('/nothing')).headers.getSetCookie().length, 0)
      assert.notEqual(await idOf(stranger), id, value)
      assert.notEqual(stranger.cookies.get('gradio_state'), value)
    }
    assert.equal(gradio.stats().sessions, 1 + malformed.length)
    assert.equal(await idOf(user), id)
  })

  it('a token of another server starts its own session and is kept', async t => {
    const [first, second] = [await site(t, express, own()), await site(t, express, own())]
    const user = first.visitor()
    const id = await idOf(user)
    const elsewhere = second.visitor()
    for (const [name, value] of user.cookies) elsewhere.cookies.set(name, value)
    const answer = await elsewhere.fetch('/id')
    assert.deepEqual(answer.headers.getSetCookie(), [])
    const { id: other } = (await answer.json()) as { id: string }
    assert.notEqual(other, id)
    assert.equal(await idOf(elsewhere), other)
    assert.equal(await idOf(user), id)
  })

  it("a user who is found by identify() can't be reached with a cookie", async t => {
    const { gradio, visitor } = await site(t, express, {
      ...own({ identify: req => req.headers['x-user'] as string | undefined }),
    })
    const { id } = (await json<{ id: string }>(visitor().fetch('/id', { headers: { 'x-user': 'alice' } })))
      .body
    for (const value of [tokenOfUser('alice'), `m.${tokenOfUser('alice')}`]) {
      const stranger = visitor()
      stranger.cookies.set('gradio_state', value)
      assert.notEqual(await idOf(stranger), id, value)
    }
    assert.equal(gradio.stats().sessions, 3)
  })

  it('the same cookie starts a new session after the end of the first', async t => {
    const { gradio, clock, visitor } = await site(t, express, own())
    const user = visitor()
    const first = await idOf(user)
    const cookie = user.cookies.get('gradio_state')
    await idle(gradio)
    await clock.advance('1h')
    const second = await idOf(user)
    assert.notEqual(second, first)
    assert.equal(await idOf(user), second)
    assert.equal(user.cookies.get('gradio_state'), cookie)
  })

  it("session: 'cookie' ignores framework sessions", async t => {
    const { visitor } = await site(t, express, { options: { session: 'cookie' }, routes })
    const user = visitor()
    await idOf(user)
    assert.deepEqual([...user.cookies.keys()], ['gradio_state'])
  })
})
