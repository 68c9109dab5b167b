// The WebSocket handshake needs only the ticket of a heartbeat: no cookie, no session middleware and no store.

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

  it('a newer ticket invalidates the older one', async t => {
    const served = await site(t, express)
    const user = served.visitor()
    const { ticket: older } = await heartbeat(user, 'page')
    const { ticket: newer } = await heartbeat(user, 'page')
    assert.notEqual(older, newer)
    assert.equal((await dial(t, served, 'page', { ticket: older })).status, 401)
    assert.equal((await dial(t, served, 'page', { ticket: newer })).status, 101)
  })

  it('the goodbye of a page, the end of its lease and the end of its session invalidate its ticket', async t => {
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

  it('a guessed ticket is rejected, and nothing is revealed about the page', async t => {
    const served = await site(t, express)
    await heartbeat(served.visitor(), 'page')
    const guesses = ['', 'guess', 'A'.repeat(22), '__proto__', '%00', 'x'.repeat(5_000)]
    for (const ticket of guesses) {
      for (const id of ['page', 'unknown']) {
        assert.equal((await dial(t, served, id, { ticket })).status, 401)
      }
    }
  })

  it('the ticket of another page, or of another epoch, is rejected', async t => {
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

  it('a ticket is sufficient for a socket, whatever Origin a proxy sends', async t => {
    const served = await site(t, express)
    for (const origin of [served.origin, 'http://upstream:3000', 'null', 'tauri://localhost']) {
      const { ticket } = await heartbeat(served.visitor(), 'page')
      assert.equal((await dial(t, served, 'page', { headers: { origin } })).status, 401)
      assert.equal((await dial(t, served, 'page', { ticket, headers: { origin } })).status, 101)
    }
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

  it('a socket that sends more than necessary is disconnected', async t => {
    const served = await site(t, express)
    const user = served.visitor()
    const { socket, closed } = await dial(t, served, 'page', await heartbeat(user, 'page'))
    socket.send('x'.repeat(100_000))
    assert.equal((await closed).code, 1009)
    await until(() => served.gradio.stats().pages === 0)
  })
})
