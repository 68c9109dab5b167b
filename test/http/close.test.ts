import assert from 'node:assert/strict'
import { it } from 'node:test'
import type { ErrorRequestHandler, Express } from 'express'
import { visitor as visitorOf } from '../../lib/testing/index.ts'
import { forEachExpress, json, site, until } from '../support/http/express.ts'
import { breakableNetwork } from '../support/pages/breakable-network.ts'
import { dial, goodbye, heartbeat } from '../support/pages/handshake.ts'

function routes(app: Express) {
  app.get('/id', (req, res) => res.json({ id: req.gradioState.id }))
  app.get('/nothing', (_req, res) => res.send('nothing'))
  const answerError: ErrorRequestHandler = (error, _req, res, _next) => {
    res.status(error.status ?? 500).json({ code: error.code })
  }
  app.use(answerError)
}

forEachExpress((_name, express) => {
  it('close() sends the close code for a service restart to each socket', async t => {
    const served = await site(t, express, { routes })
    const user = served.visitor()
    const pages = [
      await dial(t, served, 'page', await heartbeat(user, 'page')),
      await dial(t, served, 'other', await heartbeat(user, 'other')),
    ]
    assert.deepEqual(await served.gradio.close(), { timedOut: [] })
    for (const { closed } of pages) assert.deepEqual(await closed, { code: 1012, reason: '' })
  })

  it("after close() using the state is rejected with 503, and requests that don't use it continue", async t => {
    const { gradio, visitor } = await site(t, express, { routes })
    const [user, stranger] = [visitor(), visitor()]
    const page = await user.openPage()
    await user.fetch('/id')
    await gradio.close()
    for (const someone of [user, stranger]) {
      const { status, body } = await json<{ code: string }>(someone.fetch('/id'))
      assert.deepEqual([status, body.code], [503, 'CLOSED'])
      assert.equal((await someone.fetch('/nothing')).status, 200)
      assert.equal((await someone.fetch('/gradio_api/client.js')).status, 200)
      const beat = await heartbeat(someone, 'other')
      assert.deepEqual([beat.status, beat.code], [503, 'CLOSED'])
      assert.equal((await someone.fetch('/gradio_api/heartbeat/other')).status, 503)
    }
    assert.equal(await page.beat(), 503)
    assert.equal(await goodbye(user, page.id), 404)
    assert.equal(stranger.cookies.size, 0)
  })

  it('a request in flight loses its session at close()', async t => {
    let goOn: () => void = () => {}
    const { gradio, visitor } = await site(t, express, {
      routes(app) {
        app.get('/long', (req, res) => {
          const { signal } = req.gradioState
          req.gradioState.set('name', 1)
          goOn = () => {
            let code = 'none'
            try {
              req.gradioState.get('name')
            } catch (error) {
              code = (error as { code: string }).code
            }
            res.json({ code, aborted: signal.aborted })
          }
        })
      },
    })
    const asked = json<{ code: string; aborted: boolean }>(visitor().fetch('/long'))
    await until(() => gradio.stats().sessions === 1)
    await gradio.close()
    goOn()
    const { body } = await asked
    assert.ok(['CLOSED', 'SESSION_ENDED'].includes(body.code), body.code)
    assert.equal(body.aborted, true)
  })

  it('server.close() completes after close(), even with open sockets', async t => {
    const served = await site(t, express, { routes })
    const user = served.visitor()
    const sockets = [
      await dial(t, served, 'one', await heartbeat(user, 'one')),
      await dial(t, served, 'two', await heartbeat(user, 'two')),
    ]
    const closed = new Promise<void>(resolve => served.server.close(() => resolve()))
    let isClosed = false
    void closed.then(() => {
      isClosed = true
    })
    await served.gradio.close()
    await Promise.all(sockets.map(socket => socket.closed))
    served.server.closeIdleConnections()
    await until(() => isClosed, 'that the server is closed')
  })

  it('a peer that does not answer the close is disconnected after a second', async t => {
    const { gradio, port, sockets } = await site(t, express, { routes })
    const line = await breakableNetwork(t, port)
    await visitorOf(`http://127.0.0.1:${line.port}`).openPage()
    line.cut()
    const upgraded = [...sockets].at(-1)!
    await gradio.close()
    assert.ok(sockets.has(upgraded))
    // The time limit is that of ws, in real time.
    await until(() => !sockets.has(upgraded), 'that the connection is gone')
  })

  it('a second close() waits for the first, and returns its report', async t => {
    const { gradio, visitor } = await site(t, express, { routes })
    let finish: () => void = () => {}
    const log: string[] = []
    gradio.unload(
      () =>
        new Promise<void>(resolve => {
          finish = resolve
        }),
    )
    await visitor().fetch('/id')
    const reports = [gradio.close(), gradio.close()]
    for (const report of reports)
      report.then(
        () => log.push('closed'),
        () => {},
      )
    await new Promise(resolve => setTimeout(resolve, 10))
    assert.deepEqual(log, [])
    finish()
    assert.deepEqual(await Promise.all(reports), [{ timedOut: [] }, { timedOut: [] }])
  })

  it('the end of a session closes its sockets with the reason, and no others', async t => {
    const served = await site(t, express, { routes })
    const { gradio } = served
    const [user, other] = [served.visitor(), served.visitor()]
    const { closed } = await dial(t, served, 'page', await heartbeat(user, 'page'))
    await other.openPage()
    const { body } = await json<{ id: string }>(user.fetch('/id'))
    assert.equal(await gradio.endSession(body.id), true)
    assert.deepEqual(await closed, { code: 4000, reason: 'ended' })
    assert.equal(gradio.stats().pages, 1)
  })

  it('after the end of its session a page can connect again, in the session that the browser then has', async t => {
    const served = await site(t, express, { routes })
    const { gradio } = served
    const user = served.visitor()
    await heartbeat(user, 'page')
    const { id } = (await json<{ id: string }>(user.fetch('/id'))).body
    await gradio.endSession(id)
    const back = await heartbeat(user, 'page')
    assert.equal(back.status, 200)
    assert.equal((await dial(t, served, 'page', back)).status, 101)
    const next = (await json<{ id: string }>(user.fetch('/id'))).body.id
    assert.notEqual(next, id)
    assert.deepEqual([gradio.sessions().map(session => session.id), gradio.stats().pages], [[next], 1])
  })

  it('an evicted session notifies no page, since none was connected; its page can connect again', async t => {
    const { gradio, visitor } = await site(t, express, { routes, options: { maxSessions: 1 } })
    const user = visitor()
    const page = await user.openPage()
    await page.close()
    await until(() => gradio.stats().open === 0)
    await visitor().fetch('/id')
    await until(() => gradio.stats().open === 0)
    const back = await user.openPage({ id: page.id, epoch: 2 })
    assert.equal(gradio.stats().pages, 1)
    assert.equal(await back.close(), 204)
  })
})
