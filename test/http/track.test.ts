// The app's own sockets count as pages until they close.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import { it, type TestContext } from 'node:test'
import type { RequestHandler } from 'express'
import session from 'express-session'
import { WebSocket, WebSocketServer } from 'ws'
import type { GradioStateError } from '../../lib/index.ts'
import type { Visitor } from '../../lib/testing/index.ts'
import {
  type ExpressModule,
  forEachExpress,
  idle,
  sessionDefaults,
  site,
  until,
} from '../support/http/express.ts'
import { TrackedSocket } from '../support/http/tracked-socket.ts'
import { heartbeat } from '../support/pages/handshake.ts'

/** An app with its own WebSocket at `/chat`, which sends the id of its user's session. */
async function chat(t: TestContext, express: ExpressModule, hasFrameworkSession: boolean) {
  const sessionMiddleware = session(sessionDefaults())
  const served = await site(t, express, {
    session: false,
    before: hasFrameworkSession ? [sessionMiddleware] : [],
    routes: app => {
      app.get('/id', (req, res) => res.send(req.gradioState.id))
    },
  })
  const sockets = new WebSocketServer({ noServer: true })
  const none: RequestHandler = (_req, _res, next) => next()
  const before = hasFrameworkSession ? sessionMiddleware : none
  served.server.on('upgrade', (req, socket, head) => {
    if (req.url !== '/chat') return
    const res = {} as ServerResponse
    before(req as never, res as never, () =>
      served.gradio(req, res, () =>
        sockets.handleUpgrade(req, socket, head, ws => {
          try {
            const { gradioState } = req as unknown as Express.Request
            const { id } = gradioState
            served.gradio.track(req, ws)
            ws.send(id)
          } catch (error) {
            ws.close(4500, (error as GradioStateError).code)
          }
        }),
      ),
    )
  })
  const dialAs = (user: Visitor) => {
    const cookie = [...user.cookies].map(pair => pair.join('=')).join('; ')
    const socket = new WebSocket(`ws://127.0.0.1:${served.port}/chat`, { headers: { cookie } })
    t.after(() => socket.terminate())
    return socket
  }
  return { ...served, dialAs }
}

forEachExpress((_name, express) => {
  for (const hasFrameworkSession of [true, false]) {
    const kind = hasFrameworkSession ? 'the session middleware' : 'the own cookie'

    it(`a WebSocket of the app is a connection of its user, with ${kind}`, async t => {
      const { gradio, clock, visitor, dialAs } = await chat(t, express, hasFrameworkSession)
      const log: string[] = []
      gradio.unload(() => log.push('unload'))
      const user = visitor()
      const id = await (await user.fetch('/id')).text()
      const socket = dialAs(user)
      assert.equal(String((await once(socket, 'message'))[0]), id)
      assert.deepEqual([gradio.stats().pages, gradio.stats().sessions], [1, 1])
      await clock.advance('2h')
      assert.deepEqual(log, [])
      socket.close()
      await idle(gradio)
      await clock.advance(3.4)
      assert.deepEqual(log, [])
      await clock.advance(0.1)
      assert.deepEqual(log, ['unload'])
    })

    it(`an upgrade of an unknown user starts no session, since no cookie can be set, with ${kind}`, async t => {
      const { gradio, visitor, dialAs } = await chat(t, express, hasFrameworkSession)
      const [code, reason] = await once(dialAs(visitor()), 'close')
      assert.deepEqual([code, String(reason)], [4500, 'HEADERS_SENT'])
      assert.equal(gradio.stats().sessions, 0)
    })
  }

  it('a long response counts until it is over', async t => {
    const answers: ServerResponse[] = []
    const { gradio, clock, visitor } = await site(t, express, {
      routes(app, gradio) {
        app.get('/events', (req, res) => {
          gradio.track(req, res)
          res.type('text/event-stream').flushHeaders()
          answers.push(res)
        })
      },
    })
    const log: string[] = []
    gradio.unload(() => log.push('unload'))
    const user = visitor()
    const page = await user.openPage()
    const response = await user.fetch('/events')
    assert.equal(gradio.stats().pages, 2)
    await page.close()
    await clock.advance('2h')
    assert.deepEqual([log, gradio.stats().pages], [[], 1])
    answers[0]?.end()
    await response.text()
    await idle(gradio)
    await clock.advance(4)
    assert.deepEqual(log, ['unload'])
  })

  it('a closed socket no longer counts, and one that closes twice counts once', async t => {
    const closed = new TrackedSocket()
    closed.destroyed = true
    const open = new TrackedSocket()
    const { gradio, visitor } = await site(t, express, {
      routes(app, gradio) {
        app.get('/track', (req, res) => {
          gradio.track(req, closed)
          gradio.track(req, open)
          res.end()
        })
      },
    })
    await visitor().fetch('/track')
    await until(() => gradio.stats().pages === 1)
    open.close()
    open.close()
    await idle(gradio)
    assert.equal(gradio.stats().pages, 0)
  })

  it('a request that has not passed the middleware, and an object that is not a socket, are rejected', async t => {
    const codes: string[] = []
    await site(t, express)
    const { visitor } = await site(t, express, {
      routes(app, gradio) {
        app.get('/wrong', (req, res) => {
          const calls = [
            () => gradio.track({} as never, res),
            () => gradio.track({ gradioState: req.gradioState.id } as never, res),
            () => gradio.track(req, {} as never),
            () => gradio.track(req, undefined as never),
          ]
          for (const call of calls) {
            try {
              call()
            } catch (error) {
              codes.push((error as GradioStateError).code)
            }
          }
          res.end()
        })
      },
    })
    await visitor().fetch('/wrong')
    assert.deepEqual(codes, ['NOT_MOUNTED', 'NOT_MOUNTED', 'OPTION_INVALID', 'OPTION_INVALID'])
  })

  it("a page's own socket and a tracked one are distinguished", async t => {
    const { gradio, visitor, dialAs } = await chat(t, express, true)
    const user = visitor()
    await user.fetch('/id')
    const socket = dialAs(user)
    await once(socket, 'message')
    await heartbeat(user, 'page')
    assert.equal(gradio.stats().pages, 2)
    socket.close()
    await until(() => gradio.stats().pages === 1)
  })
})
