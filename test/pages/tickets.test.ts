// The WebSocket handshake needs the ticket of a heartbeat alone: no cookie, no session middleware and no store.

import assert from 'node:assert/strict'
import { it } from 'node:test'
import { forEachExpress, site, until } from '../support/http/express.ts'
import { dial, goodbye, heartbeat } from '../support/pages/handshake.ts'
import { RecordingStore } from '../support/stores/recording-store.ts'

forEachExpress((_name, express) => {
  it('a ticket admits one socket, once', async t => {
    const served = await site(t, express)
    const { ticket } = await heartbeat(served.visitor(), 'page')
    assert.equal((await dial(t, served, 'page', { ticket })).status, 101)
    assert.equal((await dial(t, served, 'page', { ticket })).status, 401)
    assert.equal(served.gradio.stats().pages, 1)
  })

  it('a newer ticket makes the older void', async t => {
    const served = await site(t, express)
    const user = served.visitor()
    const { ticket: older } = await heartbeat(user, 'page')
    const { ticket: newer } = await heartbeat(user, 'page')
    assert.notEqual(older, newer)
    assert.equal((await dial(t, served, 'page', { ticket: older })).status, 401)
    assert.equal((await dial(t, served, 'page', { ticket: newer })).status, 101)
  })

  it('the goodbye of a page, its lease and the end of its session make its ticket void', async t => {
    const served = await site(t, express)
    const { gradio, clock } = served
    const ways: ((user: ReturnType<typeof served.visitor>) => Promise<unknown>)[] = [
      user => goodbye(user, 'page'),
      () => clock.advance(95),
      () => gradio.endSession(gradio.sessions().find(({ pages }) => pages === 1)?.id as string),
    ]
    for (const way of ways) {
      const user = served.visitor()
      const { ticket } = await heartbeat(user, 'page')
      await way(user)
      assert.equal((await dial(t, served, 'page', { ticket })).status, 401)
      assert.equal(gradio.stats().pages, 0)
    }
  })

  it('a guessed ticket is refused, and nothing is told of the page', async t => {
    const served = await site(t, express)
    await heartbeat(served.visitor(), 'page')
    const guesses = ['', 'guess', 'A'.repeat(22), '__proto__', '%00', 'x'.repeat(5_000)]
    for (const ticket of guesses) {
      for (const id of ['page', 'unknown']) {
        assert.equal((await dial(t, served, id, { ticket })).status, 401)
      }
    }
  })

  it('the ticket of another page, or of another epoch, is refused', async t => {
    const served = await site(t, express)
    const [user, other] = [served.visitor(), served.visitor()]
    await heartbeat(user, 'mine')
    const { ticket } = await heartbeat(other, 'theirs', { n: '2' })
    assert.equal((await dial(t, served, 'mine', { ticket, n: '2' })).status, 409)
    assert.equal((await dial(t, served, 'theirs', { ticket, n: '1' })).status, 409)
    assert.equal((await dial(t, served, 'theirs', { ticket, n: '3' })).status, 409)
    assert.equal((await dial(t, served, 'theirs', { ticket, n: '' })).status, 409)
    assert.equal((await dial(t, served, 'theirs', { ticket, n: '2' })).status, 101)
  })

  it('a page of another site is refused, even with the ticket', async t => {
    const served = await site(t, express)
    const { origin } = served
    const user = served.visitor()
    for (const headers of [{}, { origin }] as Record<string, string>[]) {
      const { ticket } = await heartbeat(user, 'page', { headers })
      for (const evil of ['https://evil.example', 'null', 'nonsense', 'http://127.0.0.1:1']) {
        const { status } = await dial(t, served, 'page', { ticket, headers: { origin: evil } })
        assert.equal(status, 403)
      }
      assert.equal((await dial(t, served, 'page', { ticket, headers: { origin } })).status, 101)
    }
  })

  it('a page of a listed origin is let in with its ticket, and only that origin', async t => {
    const listed = ['http://localhost:5173', 'http://localhost:5174']
    const served = await site(t, express, { options: { origins: listed } })
    const headers = { origin: listed[0] as string }
    const { ticket } = await heartbeat(served.visitor(), 'page', { headers })
    const other = await dial(t, served, 'page', { ticket, headers: { origin: listed[1] as string } })
    assert.equal(other.status, 403)
    assert.equal((await dial(t, served, 'page', { ticket, headers })).status, 101)
  })

  it('the handshake is answered while the store hangs', async t => {
    const store = new RecordingStore()
    const served = await site(t, express, { session: { store } })
    const user = served.visitor()
    const { ticket } = await heartbeat(user, 'page')
    const before = store.calls.length
    store.get = () => {}
    store.set = () => {}
    store.touch = () => {}
    // With a cookie too, as a browser sends it.
    const cookie = [...user.cookies].map(pair => pair.join('=')).join('; ')
    const { status, socket } = await dial(t, served, 'page', { ticket, headers: { cookie } })
    assert.equal(status, 101)
    assert.equal(store.calls.length, before)
    socket.close(1000)
    await until(() => served.gradio.stats().pages === 0)
  })

  it('a socket that sends more than it has to is cut', async t => {
    const served = await site(t, express)
    const user = served.visitor()
    const { socket, closed } = await dial(t, served, 'page', await heartbeat(user, 'page'))
    socket.send('x'.repeat(100_000))
    assert.equal((await closed).code, 1009)
    await until(() => served.gradio.stats().pages === 0)
  })
})
