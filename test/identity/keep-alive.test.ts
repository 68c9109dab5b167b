// An open page that keeps its framework session alive, as seen by the browser.

import assert from 'node:assert/strict'
import { it } from 'node:test'
import { forEachExpress, until } from '../support/http/express.ts'
import { sessionApp } from '../support/http/session-app.ts'
import { dial, heartbeat } from '../support/pages/handshake.ts'

const RENEW = '/gradio_api/heartbeat/page?n=1&renew'
/** The default of the option, in seconds. */
const HEARTBEAT = 15
const POST = { method: 'POST' }

forEachExpress((_name, express) => {
  it('the page is asked to request the cookie again when its session was extended', async t => {
    const app = await sessionApp(t, express, { options: { keepAlive: true }, session: { rolling: true } })
    const me = app.user()
    const { ticket } = await heartbeat(me, 'page')
    const { socket } = await dial(t, app, 'page', { ticket })
    const messages: string[] = []
    socket.on('message', message => messages.push(String(message)))
    // In small steps, so that the pongs keep up with the clock.
    for (let beats = 1; beats < 3; beats++) {
      await app.pass(HEARTBEAT)
      await until(() => messages.filter(message => message === '1').length === beats)
    }
    await until(() => messages.includes('renew'))
    assert.equal(app.store.take('touch').length, 1)
    const answer = await me.fetch(RENEW, POST)
    assert.equal(answer.status, 200)
    assert.match(String(answer.headers.get('set-cookie')), /^connect\.sid=/)
  })

  it('nothing is renewed without keepAlive, or for a browser without a session', async t => {
    for (const keepAlive of [true, false]) {
      const app = await sessionApp(t, express, { options: { keepAlive }, session: { rolling: true } })
      const me = app.user()
      if (!keepAlive) await me.set('mine')
      const answer = await me.fetch(RENEW, POST)
      assert.deepEqual([answer.status, answer.headers.get('set-cookie')], [keepAlive ? 204 : 200, null])
      assert.equal(app.gradio.sessions().length, keepAlive ? 0 : 1)
    }
  })
})
