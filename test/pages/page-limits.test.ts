// How many pages, sockets and waiting heartbeats one session can have.

import assert from 'node:assert/strict'
import { it } from 'node:test'
import { forEachExpress, idle, site, until } from '../support/http/express.ts'
import { dial, goodbye, heartbeat } from '../support/pages/handshake.ts'
import { deferred } from '../support/sessions/harness.ts'

const MAX_PAGES = 100
const range = (length: number) => Array.from({ length }, (_, number) => number)

forEachExpress((_name, express) => {
  it('a session has 100 pages at most, even when they open at the same time', async t => {
    const { gradio, visitor } = await site(t, express, { session: false })
    const user = visitor()
    await heartbeat(user, 'page')
    const answers = await Promise.all(range(MAX_PAGES + 20).map(number => heartbeat(user, `page-${number}`)))
    const refused = answers.filter(({ status }) => status !== 200)
    assert.equal(refused.length, 21)
    for (const { status, code } of refused) assert.deepEqual([status, code], [429, 'TOO_MANY_PAGES'])
    assert.equal(gradio.stats().pages, MAX_PAGES)
    assert.equal((await heartbeat(user, 'page')).status, 200)
    assert.equal((await heartbeat(visitor(), 'page')).status, 200)
  })

  it('pages that have left make room: a user who reloads again and again is never rejected', async t => {
    const { gradio, visitor } = await site(t, express, { session: false })
    const user = visitor()
    await heartbeat(user, 'page')
    for (const number of range(3 * MAX_PAGES)) {
      assert.equal((await heartbeat(user, `page-${number}`)).status, 200)
      assert.equal(await goodbye(user, `page-${number}`), 204)
    }
    assert.equal(gradio.stats().pages, 1)
    // The records of the last pages still exist.
    assert.equal((await heartbeat(user, `page-${3 * MAX_PAGES - 1}`)).status, 409)
  })

  it('a page has one socket and one ticket, however many it requests', async t => {
    const served = await site(t, express, { session: false })
    const user = served.visitor()
    const tickets: { ticket: string }[] = []
    for (let times = 0; times < 20; times++) tickets.push(await heartbeat(user, 'page'))
    const statuses = await Promise.all(
      tickets.map(async ticket => (await dial(t, served, 'page', ticket)).status),
    )
    assert.deepEqual(statuses, [...Array(19).fill(401), 101])
    for (let times = 0; times < 20; times++) {
      assert.equal((await dial(t, served, 'page', await heartbeat(user, 'page'))).status, 101)
    }
    assert.equal(served.gradio.stats().pages, 1)
    // One is that of the WebSocket, the other connections are those of fetch.
    await until(() => served.sockets.size <= 2)
  })

  it('at most 100 requests of a session wait for its unload hooks, including heartbeats of one page', async t => {
    const { gradio, clock, visitor } = await site(t, express, {
      session: false,
      routes: app => app.get('/', (_req, res) => res.end()),
    })
    const { promise, resolve } = deferred()
    gradio.unload(() => promise)
    const user = visitor()
    await heartbeat(user, 'page')
    await goodbye(user, 'page')
    await idle(gradio)
    await clock.advance(2)
    assert.equal(gradio.stats().loaded, 0)
    const results: [status: number, code: string | undefined][] = []
    const beats = range(120).map(async () => {
      const { status, code } = await heartbeat(user, 'page', { n: '2' })
      results.push([status, code])
    })
    await until(() => results.length === 20)
    for (const result of results.splice(0)) assert.deepEqual(result, [429, 'TOO_MANY_WAITING'])
    const request = await user.fetch('/')
    assert.deepEqual([request.status, request.headers.get('Gradio-State-Error')], [429, 'TOO_MANY_WAITING'])
    assert.equal((await heartbeat(visitor(), 'page')).status, 200)
    resolve()
    await Promise.all(beats)
    assert.deepEqual(results, Array(100).fill([200, undefined]))
    assert.equal((await user.fetch('/')).status, 200)
    assert.equal(gradio.stats().pages, 2)
  })
})
