// Logins and logouts: what they end, what they keep, and what a request can still do after them.

import assert from 'node:assert/strict'
import { it } from 'node:test'
import type { Express } from 'express'
import type { GradioState, RequestState } from '../../lib/index.ts'
import { forEachExpress } from '../support/http/express.ts'
import { type Answer, type AppUser, disconnectionOf, sessionApp } from '../support/http/session-app.ts'
import { deferred } from '../support/sessions/harness.ts'

const ENDED = (reason: string) => [`unload ${reason} @0`, `delete ${reason} @0`, `ended ${reason} @0`]

/** A user with the cookies from before. */
function before(user: AppUser, { user: newUser }: { user(): AppUser }): AppUser {
  const old = newUser()
  for (const [name, value] of user.cookies) old.cookies.set(name, value)
  return old
}

/** A route that waits between its arrival and its use of the state. */
function slow(use: (state: RequestState, gradio: GradioState) => unknown) {
  const [arrived, resumed] = [deferred(), deferred()]
  const routes = (app: Express, gradio: GradioState) => {
    app.get('/slow', async (req, res, next) => {
      arrived.resolve()
      await resumed.promise
      try {
        res.json({ id: use(req.gradioState, gradio) })
      } catch (error) {
        next(error)
      }
    })
  }
  return { routes, arrived: arrived.promise, resume: resumed.resolve }
}

forEachExpress((_name, express) => {
  it('a login with regenerate ends the session, and its request is in the next one', async t => {
    const app = await sessionApp(t, express)
    const { gradio, log, store } = app
    const me = app.user()
    const { id } = await me.set('mine')
    const { signal } = gradio.session(id!)!
    const old = before(me, app)
    const login = await me.post('/login')
    await app.pass(0)
    assert.deepEqual(log, ENDED('regenerated'))
    assert.equal(signal.aborted, true)
    assert.notEqual(login.id, id)
    assert.equal(login.value, undefined)
    assert.deepEqual(await me.get(), { status: 200, id: login.id })
    assert.notEqual(me.frameworkSessionId(), old.frameworkSessionId())
    assert.equal(store.ids.includes(old.frameworkSessionId()), false)
    const nobody = await old.get()
    assert.ok(nobody.id !== id && nobody.id !== login.id && nobody.value === undefined)
  })

  it("with onRegenerate: 'keep' it moves values and files to the new framework session", async t => {
    const app = await sessionApp(t, express, {
      options: { onRegenerate: 'keep' },
      routes(app) {
        app.post('/file', async (req, res) => {
          res.json({ value: (await req.gradioState.saveFile('content', { name: 'file.txt' })).url })
        })
      },
    })
    const { gradio, log } = app
    const me = app.user()
    const { id } = await me.set('mine')
    const { value: url } = await me.post('/file')
    const { signal } = gradio.session(id!)!
    const page = await me.openPage()
    const old = before(me, app)
    assert.deepEqual(await me.post('/login'), { status: 200, id, value: 'mine' })
    assert.deepEqual(await me.get(), { status: 200, id, value: 'mine' })
    assert.equal(await (await me.fetch(url!)).text(), 'content')
    assert.equal(await page.beat(), 200)
    assert.deepEqual([log, signal.aborted, gradio.stats().sessions], [[], false, 1])
    // Also before the new framework session is used for the first time: its token can't be derived from the old id.
    assert.equal((await old.fetch(url!)).status, 404)
    const nobody = await old.get()
    assert.ok(nobody.id !== id && nobody.value === undefined)
    assert.deepEqual(await me.get(), { status: 200, id, value: 'mine' })
    const again = before(me, app)
    assert.deepEqual(await me.post('/login'), { status: 200, id, value: 'mine' }, 'and a second time')
    assert.notEqual((await again.get()).id, id)
    await me.post('/logout')
    await app.pass(0)
    assert.deepEqual(log, ENDED('destroyed'))
    assert.equal((await disconnectionOf(page)).reason, 'destroyed')
  })

  for (const isMarked of [true, false]) {
    it(`with 'keep', an old framework session that is saved again finds nothing (marked: ${isMarked})`, async t => {
      const app = await sessionApp(t, express, { options: { onRegenerate: 'keep' } })
      const me = app.user()
      const { id } = await me.set('mine')
      const old = before(me, app)
      const stored = JSON.parse(app.store.stored(me.frameworkSessionId())!)
      await me.post('/login')
      // By a request that was in flight during the login, and has changed it.
      if (!isMarked) delete stored.gradioState
      app.store.restore(old.frameworkSessionId(), JSON.stringify(stored))
      const nobody = await old.get()
      assert.ok(nobody.id !== id && nobody.value === undefined)
      assert.deepEqual(await me.get(), { status: 200, id, value: 'mine' })
      assert.deepEqual(await old.get(), nobody)
    })
  }

  it("with 'keep', a late first use of a request does not undo the login in the store", async t => {
    const { routes, arrived, resume } = slow(state => state.id)
    const app = await sessionApp(t, express, {
      options: { onRegenerate: 'keep' },
      session: { saveUninitialized: true },
      routes,
    })
    const me = app.user()
    await me.fetch('/nothing')
    const gone = me.frameworkSessionId()
    const asked = before(me, app).fetch('/slow')
    await arrived
    const { id } = await me.set('mine')
    await me.post('/login')
    resume()
    assert.equal((await asked).status, 410)
    assert.equal(app.store.ids.includes(gone), false)
    assert.deepEqual(await me.get(), { status: 200, id, value: 'mine' })
  })

  it("with 'keep', a user without a session gets one when the login uses the state", async t => {
    const app = await sessionApp(t, express, {
      options: { onRegenerate: 'keep' },
      session: { saveUninitialized: true },
    })
    const me = app.user()
    await me.fetch('/nothing')
    const { id } = await me.post('/login')
    assert.deepEqual(await me.get(), { status: 200, id })
    assert.equal(app.gradio.stats().sessions, 1)
  })

  for (const setting of ['end', 'keep'] as const) {
    it(`a logout by destroy ends the session at once (onRegenerate: '${setting}')`, async t => {
      const app = await sessionApp(t, express, { options: { onRegenerate: setting } })
      const me = app.user()
      const { id } = await me.set('mine')
      const { signal } = app.gradio.session(id!)!
      const old = before(me, app)
      await me.post('/logout')
      await app.pass(0)
      assert.deepEqual(app.log, ENDED('destroyed'))
      assert.equal(signal.aborted, true)
      for (const user of [old, me]) {
        const next = await user.get()
        assert.ok(next.id !== id && next.value === undefined)
      }
    })

    it(`a failed regenerate ends nothing (onRegenerate: '${setting}')`, async t => {
      const app = await sessionApp(t, express, { options: { onRegenerate: setting } })
      const me = app.user()
      const { id } = await me.set('mine')
      app.store.trouble = method => (method === 'destroy' ? new Error('read-only') : undefined)
      const old = before(me, app)
      assert.equal((await me.post('/login')).status, 500)
      await app.pass(0)
      assert.deepEqual(app.log, [])
      assert.deepEqual(await old.get(), { status: 200, id, value: 'mine' })
    })
  }

  it("the request that has logged out can't use the state any more", async t => {
    const codes: unknown[] = []
    const app = await sessionApp(t, express, {
      routes(app, gradio) {
        app.post('/out', (req, res) => {
          const uses = [
            () => req.gradioState.id,
            () => req.gradioState.set('any', 1),
            () => gradio.track(req, res),
          ]
          req.session.destroy(() => {
            for (const use of uses) {
              try {
                codes.push(use())
              } catch (error) {
                codes.push((error as { code: string }).code)
              }
            }
            req.gradioState.establish().catch(({ code }) => {
              codes.push(code)
              res.json({})
            })
          })
        })
      },
    })
    const me = app.user()
    await me.set('mine')
    await me.post('/out')
    assert.deepEqual(codes, Array(4).fill('SESSION_ENDED'))
    assert.deepEqual([app.store.ids, app.gradio.stats().sessions], [[], 0])
  })

  for (const path of ['/logout', '/login']) {
    const reason = path === '/logout' ? 'destroyed' : 'regenerated'

    it(`a request in flight of a session that was ${reason} can't use the state any more`, async t => {
      const { routes, arrived, resume } = slow(state => state.id)
      const app = await sessionApp(t, express, { routes })
      const me = app.user()
      await me.set('mine')
      const asked = before(me, app).fetch('/slow')
      await arrived
      await me.post(path)
      resume()
      const answer = await asked
      assert.deepEqual([answer.status, await answer.json()], [410, { code: 'SESSION_ENDED' }])
      assert.deepEqual(app.log, ENDED(reason))
    })

    it(`nor can a request that had not used it before, and the ${reason} session stays ended`, async t => {
      const { routes, arrived, resume } = slow(state => state.id)
      const app = await sessionApp(t, express, { routes, session: { saveUninitialized: true } })
      const me = app.user()
      await me.fetch('/nothing')
      const gone = me.frameworkSessionId()
      // Another request makes the store known to the library: this user has not used the state.
      await app.user().set('theirs')
      const asked = before(me, app).fetch('/slow')
      await arrived
      await me.post(path)
      resume()
      const answer = await asked
      assert.deepEqual([answer.status, await answer.json()], [410, { code: 'SESSION_ENDED' }])
      assert.equal(app.store.ids.includes(gone), false, 'the logout is not undone in the store')
    })

    it(`a session that was ${reason} stays ended, even if another request's first use has marked it`, async t => {
      const [used, resumed] = [deferred(), deferred()]
      const routes = (app: Express) => {
        app.get('/slow', async (req, res) => {
          assert.ok(req.gradioState.id)
          used.resolve()
          await resumed.promise
          res.json({})
        })
      }
      const app = await sessionApp(t, express, { routes, session: { saveUninitialized: true } })
      const me = app.user()
      await me.fetch('/nothing')
      const gone = me.frameworkSessionId()
      const asked = before(me, app).fetch('/slow')
      await used.promise
      await me.post(path)
      resumed.resolve()
      await asked
      assert.equal(app.store.ids.includes(gone), false, 'the logout is not undone in the store')
    })

    it(`nor can a request whose session started before, and was ${reason} while it was saved`, async t => {
      const { routes, arrived, resume } = slow(state => state.id)
      const app = await sessionApp(t, express, { routes })
      const me = app.user()
      await me.set('mine')
      const gone = me.frameworkSessionId()
      await app.gradio.endSession(app.gradio.sessions()[0]!.id)
      const asked = before(me, app).fetch('/slow')
      await arrived
      await me.post(path)
      resume()
      assert.equal((await asked).status, 410)
      assert.equal(app.store.ids.includes(gone), false)
    })

    it(`open pages are notified that it was ${reason}, after the response that caused it`, async t => {
      const [done, answered] = [deferred(), deferred()]
      const app = await sessionApp(t, express, {
        routes(app) {
          app.post(`/slow${path}`, (req, res, next) => {
            const ended = (error: unknown) => {
              if (error) return next(error)
              done.resolve()
              void answered.promise.then(() => res.json({}))
            }
            if (path === '/logout') req.session.destroy(ended)
            else req.session.regenerate(ended)
          })
        },
      })
      const me = app.user()
      await me.set('mine')
      const page = await me.openPage()
      let isDisconnected = false
      void page.closed.then(() => {
        isDisconnected = true
      })
      const asked = me.post(`/slow${path}`)
      await done.promise
      await app.clock.advance(4.9)
      await new Promise(resolve => setTimeout(resolve, 20))
      assert.equal(isDisconnected, false)
      assert.equal(app.gradio.stats().pages, 0, 'the page counts no more')
      answered.resolve()
      await asked
      assert.deepEqual(await disconnectionOf(page), { code: 4000, reason })
    })

    it(`open pages are notified that it was ${reason} after 5 s, if the response takes longer`, async t => {
      const { routes, arrived, resume } = slow(() => 'late')
      const app = await sessionApp(t, express, { routes })
      const me = app.user()
      await me.set('mine')
      const page = await me.openPage()
      const asked = before(me, app).fetch('/slow')
      await arrived
      await me.post(path)
      await app.clock.advance(5)
      assert.deepEqual(await disconnectionOf(page), { code: 4000, reason })
      resume()
      await asked
    })
  }

  it("unset: 'destroy' is a logout", async t => {
    const app = await sessionApp(t, express, { session: { unset: 'destroy' } })
    const me = app.user()
    const { id } = await me.set('mine')
    const page = await me.openPage()
    await me.post('/unset')
    assert.equal((await disconnectionOf(page)).reason, 'destroyed')
    assert.deepEqual(app.log, ENDED('destroyed'))
    assert.notEqual((await me.get()).id, id)
  })

  it("without it, unsetting the session of a request isn't a logout", async t => {
    const app = await sessionApp(t, express)
    const me = app.user()
    const { id } = await me.set('mine')
    await me.post('/unset')
    assert.deepEqual(await me.get(), { status: 200, id, value: 'mine' })
    assert.deepEqual(app.log, [])
  })

  it('with rolling, each request extends the session and sends its cookie', async t => {
    const app = await sessionApp(t, express, { session: { rolling: true } })
    const me = app.user()
    const { id } = await me.set('mine')
    for (let times = 0; times < 3; times++) {
      await app.pass(50)
      assert.equal((await me.fetch('/nothing')).headers.getSetCookie().length, 1)
    }
    await app.pass(59)
    assert.deepEqual(await me.get(), { status: 200, id, value: 'mine' })
    assert.ok(app.log.every(line => line.startsWith('unload disconnected')))
    await app.pass(3661)
    assert.equal(app.log.at(-1), 'ended expired @3869')
  })

  it('a maxAge that is changed at run time applies from then on', async t => {
    const app = await sessionApp(t, express)
    const [longer, shorter, endless] = [app.user(), app.user(), app.user()]
    const pages = []
    for (const user of [longer, shorter, endless]) {
      await user.set('mine')
      pages.push(await user.openPage())
    }
    await longer.post('/lives/600000')
    await shorter.post('/lives/20000')
    await endless.post('/lives/on')
    await app.pass(19)
    assert.deepEqual(app.log, [])
    await app.pass(2)
    assert.equal((await disconnectionOf(pages[1]!)).reason, 'expired')
    assert.deepEqual(app.log, ['unload expired @20.05'])
    await app.pass(578)
    assert.equal(app.log.length, 1)
    await app.pass(2)
    assert.deepEqual(app.log.slice(1), ['unload expired @600.05'])
    assert.equal((await endless.get()).value, 'mine')
  })

  it('a cookie without maxAge finds the session until it is lost', async t => {
    const app = await sessionApp(t, express, { session: { cookie: {} } })
    const me = app.user()
    const { id } = await me.set('mine')
    const page = await me.openPage()
    await app.pass(3600)
    assert.deepEqual(await me.get(), { status: 200, id, value: 'mine' })
    app.store.lose()
    await app.pass(380)
    assert.equal((await disconnectionOf(page)).reason, 'expired')
    assert.match(app.log.join(), /^unload expired @\d+(\.\d+)?$/)
  })

  it('two simultaneous logins from one session leave two separate users', async t => {
    const app = await sessionApp(t, express)
    const me = app.user()
    const { id } = await me.set('mine')
    const twin = before(me, app)
    const answers: Answer[] = await Promise.all([me.post('/login'), twin.post('/login')])
    for (const { value } of answers) assert.equal(value, undefined)
    const ids = new Set([id, (await me.get()).id, (await twin.get()).id])
    assert.equal(ids.size, 3)
    await app.pass(0)
    assert.deepEqual(app.log, ENDED('regenerated'))
  })

  it("two simultaneous logins with 'keep' leave the session to one of them", async t => {
    const app = await sessionApp(t, express, { options: { onRegenerate: 'keep' } })
    const me = app.user()
    const { id } = await me.set('mine')
    const twin = before(me, app)
    await Promise.all([me.post('/login'), twin.post('/login')])
    const ids = [(await me.get()).id, (await twin.get()).id]
    assert.equal(ids.filter(got => got === id).length, 1)
    assert.equal(new Set(ids).size, 2)
  })
})
