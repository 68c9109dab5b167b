// A first use after the headers were sent would start a session that the browser could never find again.

import assert from 'node:assert/strict'
import { it } from 'node:test'
import cookieSession from 'cookie-session'
import type { Express, Request } from 'express'
import type { GradioStateError } from '../../lib/index.ts'
import { customSession } from '../support/http/custom-session.ts'
import { forEachExpress, type SiteOptions, site } from '../support/http/express.ts'

const sessionKinds: Record<string, () => SiteOptions> = {
  'express-session': () => ({}),
  'express-session, saveUninitialized': () => ({ session: { saveUninitialized: true } }),
  'the own cookie': () => ({ session: false }),
  'cookie-session': () => ({ session: false, before: [cookieSession({ secret: 'a secret' })] }),
  'an unknown session that is kept': () => ({ session: false, before: [customSession()] }),
}

/** The result of a use: the id of the session, or the code of the error. */
function tryUse(req: Request, use: (req: Request) => unknown): string {
  try {
    return String(use(req) ?? req.gradioState.id)
  } catch (error) {
    return (error as GradioStateError).code
  }
}

function routes(app: Express) {
  app.post('/login', (req, res) => {
    Object.assign(req.session, { user: 'ann' })
    res.end()
  })
  app.get('/id', (req, res) => res.send(tryUse(req, () => undefined)))
  const uses: Record<string, (req: Request) => unknown> = {
    id: req => req.gradioState.id,
    set: req => req.gradioState.set('name', 1),
  }
  for (const [name, use] of Object.entries(uses)) {
    app.get(`/late/${name}`, (req, res) => {
      res.write('')
      res.flushHeaders()
      res.end(tryUse(req, use))
    })
  }
  app.get('/late/read', (req, res) => {
    res.flushHeaders()
    res.end(String(req.gradioState.get('name')))
  })
  app.get('/late/establish', (req, res) => {
    res.flushHeaders()
    req.gradioState.establish().then(
      () => res.end(req.gradioState.id),
      error => res.end(error.code),
    )
  })
}

forEachExpress((_name, express) => {
  for (const [kind, options] of Object.entries(sessionKinds)) {
    it(`a browser that could not receive its session's cookie gets an error, with ${kind}`, async t => {
      const { gradio, visitor } = await site(t, express, { ...options(), routes })
      // With saveUninitialized the headers set a cookie in every new browser, so no use is rejected.
      const sentCookie = kind.endsWith('saveUninitialized')
      for (const use of ['id', 'set', 'establish']) {
        const user = visitor()
        const answer = await (await user.fetch(`/late/${use}`)).text()
        if (sentCookie) assert.equal(await (await user.fetch('/id')).text(), answer)
        else assert.equal(answer, 'HEADERS_SENT')
      }
      assert.equal(gradio.stats().sessions, sentCookie ? 3 : 0)
    })

    it(`a browser that has its session's cookie can use it at any time, with ${kind}`, async t => {
      const { gradio, visitor } = await site(t, express, { ...options(), routes })
      const user = visitor()
      const id = await (await user.fetch('/id')).text()
      for (const use of ['id', 'set', 'establish']) {
        assert.equal(await (await user.fetch(`/late/${use}`)).text(), id)
      }
      await gradio.endSession(id)
      const next = await (await user.fetch('/late/id')).text()
      assert.match(next, /^[0-9a-f-]{36}$/)
      assert.notEqual(next, id)
      assert.equal(await (await user.fetch('/id')).text(), next)
    })

    it(`checking for a missing value is not a use, with ${kind}`, async t => {
      const { visitor } = await site(t, express, { ...options(), routes })
      assert.equal(await (await visitor().fetch('/late/read')).text(), 'undefined')
    })
  }

  it('a browser that already has a framework session can start its session at any time', async t => {
    const { gradio, visitor } = await site(t, express, { routes })
    for (const use of ['id', 'set', 'establish']) {
      const user = visitor()
      await user.fetch('/login', { method: 'POST' })
      const id = await (await user.fetch(`/late/${use}`)).text()
      assert.match(id, /^[0-9a-f-]{36}$/)
      assert.equal(await (await user.fetch('/id')).text(), id)
    }
    assert.equal(gradio.stats().sessions, 3)
  })
})
