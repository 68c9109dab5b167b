// Passport regenerates the framework session at a login and at a logout, and can copy its content into the next one.

import assert from 'node:assert/strict'
import { it, type TestContext } from 'node:test'
import type * as express from 'express'
import passport from 'passport'
import { Strategy } from 'passport-custom'
import type { GradioStateOptions } from '../../lib/index.ts'
import { type ExpressModule, forEachExpress } from '../support/http/express.ts'
import { sessionApp } from '../support/http/session-app.ts'

declare global {
  namespace Express {
    interface User {
      name: string
    }
  }
}

interface Setting {
  onRegenerate: NonNullable<GradioStateOptions['onRegenerate']>
  keepSessionInfo: boolean
  /** The path of Passport's own middleware. */
  passportIs: 'before' | 'after'
}

const SETTINGS = (['end', 'keep'] as const).flatMap(onRegenerate =>
  [false, true].flatMap(keepSessionInfo =>
    (['before', 'after'] as const).map(passportIs => ({ onRegenerate, keepSessionInfo, passportIs })),
  ),
)

function passportApp(t: TestContext, module: ExpressModule, setting: Setting) {
  const { onRegenerate, keepSessionInfo, passportIs } = setting
  const authenticator = new passport.Passport()
  authenticator.use('name', new Strategy((req, done) => done(null, { name: req.params.name as string })))
  authenticator.serializeUser((user, done) => done(null, user.name))
  authenticator.deserializeUser((name: string, done) => done(null, { name }))
  const ownRoutes = (app: express.Express) => {
    const tell: express.RequestHandler = (req, res) => {
      const { id } = req.gradioState
      res.json({ id, value: req.gradioState.get('note'), user: req.user?.name })
    }
    app.post('/note/:text', (req, res, next) => {
      req.gradioState.set('note', req.params.text)
      tell(req, res, next)
    })
    app.get('/me', tell)
    app.post('/enter/:name', authenticator.authenticate('name', { keepSessionInfo }), tell)
    app.post('/leave', (req, res, next) => {
      req.logout({ keepSessionInfo }, error => (error ? next(error) : tell(req, res, next)))
    })
  }
  return sessionApp(t, module, {
    options: { onRegenerate },
    between: passportIs === 'before' ? [authenticator.session()] : [],
    routes(app) {
      if (passportIs === 'after') app.use(authenticator.session())
      ownRoutes(app)
    },
  })
}

forEachExpress((_name, module) => {
  for (const setting of SETTINGS) {
    const named = JSON.stringify(setting)
    const keeps = setting.onRegenerate === 'keep'

    it(`a login ${keeps ? 'keeps' : 'ends'} the state of an anonymous user, with ${named}`, async t => {
      const app = await passportApp(t, module, setting)
      const me = app.user()
      const { id } = await me.post('/note/mine')
      const old = app.user()
      old.cookies.set('connect.sid', me.cookies.get('connect.sid')!)
      const login = await me.post('/enter/ann')
      assert.equal(login.id === id, keeps)
      assert.equal(login.value, keeps ? 'mine' : undefined)
      const after = await (await me.fetch('/me')).json()
      const { status: _, ...expected } = login
      assert.deepEqual(after, { ...expected, user: 'ann' })
      const nobody = (await (await old.fetch('/me')).json()) as typeof after
      assert.ok(nobody.id !== id && nobody.value === undefined && nobody.user === undefined)
      await app.pass(0)
      assert.deepEqual(app.log, keeps ? [] : ['unload regenerated @0', 'ended regenerated @0'])
    })

    it(`a logout ends the state of a user, with ${named}`, async t => {
      const app = await passportApp(t, module, setting)
      const me = app.user()
      await me.post('/enter/ann')
      const { id } = await me.post('/note/hers')
      const old = app.user()
      old.cookies.set('connect.sid', me.cookies.get('connect.sid')!)
      const logout = await me.post('/leave')
      await app.pass(0)
      assert.deepEqual(app.log, ['unload regenerated @0', 'ended regenerated @0'])
      const ids = new Set([id, logout.id])
      for (const user of [me, old]) {
        const answer = await (await user.fetch('/me')).json()
        assert.deepEqual([answer.value, answer.user, answer.id !== id], [undefined, undefined, true])
        ids.add(answer.id)
      }
      assert.equal(logout.value, undefined)
      assert.equal(
        ids.size,
        3,
        'the request that logged out has begun the next session, the old cookie another',
      )
      const next = await me.post('/enter/bob')
      assert.ok(next.value === undefined && next.id !== id)
    })

    it(`an old framework session that is saved again finds nothing of a later one, with ${named}`, async t => {
      const app = await passportApp(t, module, setting)
      const me = app.user()
      await me.post('/note/mine')
      const old = app.user()
      old.cookies.set('connect.sid', me.cookies.get('connect.sid')!)
      const stored = app.store.stored(me.frameworkSessionId())
      await me.post('/enter/ann')
      const { id } = await me.post('/note/hers')
      app.store.restore(old.frameworkSessionId(), stored)
      const nobody = await (await old.fetch('/me')).json()
      assert.ok(nobody.id !== id && nobody.value === undefined)
      assert.equal((await (await me.fetch('/me')).json()).value, 'hers')
    })

    it(`a login over another user gets nothing of that user, with ${named}`, async t => {
      const app = await passportApp(t, module, setting)
      const me = app.user()
      await me.post('/enter/ann')
      const { id } = await me.post('/note/hers')
      const login = await me.post('/enter/bob')
      assert.ok(login.id !== id && login.value === undefined)
      const { user, value } = await (await me.fetch('/me')).json()
      assert.deepEqual([user, value], ['bob', undefined])
      await app.pass(0)
      assert.deepEqual(app.log, ['unload regenerated @0', 'ended regenerated @0'])
    })

    it(`successive users in one browser see nothing of each other, with ${named}`, async t => {
      const app = await passportApp(t, module, setting)
      const me = app.user()
      const ids = new Set<string | undefined>()
      for (const name of ['ann', 'bob', 'cid']) {
        const entered = await me.post(`/enter/${name}`)
        assert.equal(entered.value, undefined)
        const { id } = await me.post(`/note/${name}`)
        assert.equal(ids.has(id), false)
        ids.add(id)
        await me.post('/leave')
      }
      await app.pass(0)
      assert.equal(app.log.filter(line => line === 'ended regenerated @0').length >= 3, true)
      assert.ok(app.gradio.sessions().every(session => !ids.has(session.id)))
    })
  }
})
