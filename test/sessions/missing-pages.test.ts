import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import express from 'express'
import { gradioState } from '../../lib/index.ts'
import { clusterOf } from '../../lib/sessions/cluster-option.ts'
import { steppedClock } from '../../lib/testing/fake-clock.ts'
import { fakeClock, visitor } from '../../lib/testing/index.ts'
import { MemoryCluster } from '../support/cluster/memory-cluster.ts'
import { MemoryCoordinator } from '../support/cluster/memory-coordinator.ts'
import { closeNow } from '../support/sessions/close-now.ts'
import { harness } from '../support/sessions/harness.ts'

const NAVIGATION = { 'upgrade-insecure-requests': '1' }
const FROM_PAGE = { 'sec-fetch-site': 'same-origin' }
const HTML = 'text/html; charset=utf-8'

/** The messages of the process's warnings with this code while a test runs. */
function messagesIn(t: TestContext): string[] {
  const messages: string[] = []
  const listen = (warning: Error & { code?: string }) => {
    if (warning.code === 'GRADIO_STATE_NO_PAGE') messages.push(warning.message)
  }
  process.on('warning', listen)
  t.after(() => process.off('warning', listen))
  return messages
}

/** An instance alone, or a node of a cluster. */
function instance(t: TestContext, isNode: boolean) {
  if (!isNode) return harness(t)
  const clock = steppedClock({ wall: Date.UTC(2026, 0, 1), rest: () => cluster.rest() })
  const cluster = new MemoryCluster(clock)
  return harness(t, { cluster: clusterOf(() => new MemoryCoordinator(cluster)) }, clock)
}

function watched(t: TestContext, isNode = false) {
  const made = instance(t, isNode)
  const messages = messagesIn(t)
  /** Sends a request that uses the state. */
  async function send(name: string, headers: Record<string, string>, type: string): Promise<void> {
    const { state, end } = await made.user(name).begin(headers)
    state.set('x', 1)
    end(type)
  }
  return { ...made, messages, send }
}

describe('the warning that no page has connected', () => {
  for (const isNode of [false, true]) {
    it(`is emitted once, 30 s after a browser has loaded a page${isNode ? ' from a node of a cluster' : ''}`, async t => {
      const { gradio, clock, messages, send } = watched(t, isNode)
      const unloads: number[] = []
      gradio.unload(() => unloads.push(clock.now() / 1000))
      await send('Ada', NAVIGATION, HTML)
      await clock.advance(29)
      assert.deepEqual([messages, unloads], [[], []])
      await clock.advance(1)
      assert.equal(messages.length, 1)
      assert.match(messages[0]!, /^A browser loaded a page that didn't connect to the server within 30 s\. /)
      assert.match(messages[0]!, /<script type="module" src="\/gradio_api\/client\.js"><\/script>/)
      assert.deepEqual(unloads, [30])
      await send('Bob', NAVIGATION, HTML)
      await clock.advance('2h')
      assert.equal(messages.length, 1)
    })
  }

  it('names the path of the script for these pages', async t => {
    const messages = messagesIn(t)
    const clock = fakeClock()
    const gradio = gradioState({ clock, path: '/state', publicPath: '/shop' })
    t.after(() => closeNow(gradio, clock))
    const app = express()
    app.use('/app', gradio)
    app.get('/app', (req, res) => {
      req.gradioState.set('x', 1)
      res.send('<p>A page</p>')
    })
    await visitor(app).fetch('/app', { headers: NAVIGATION })
    await clock.advance('1m')
    assert.match(messages.join(), / src="\/shop\/app\/state\/client\.js">/)
  })

  it('is emitted for pages whose HTML comes from elsewhere, by the request of a script', async t => {
    const { clock, messages, send } = watched(t)
    await send('Ada', FROM_PAGE, 'application/json')
    await clock.advance('1m')
    assert.equal(messages.length, 1)
  })

  it('is not emitted at the unload of clients other than browsers, but when their session ends', async t => {
    const { clock, messages, send } = watched(t)
    for (let times = 0; times < 3; times++) {
      await send('curl', {}, HTML)
      await clock.advance('1m')
    }
    assert.deepEqual(messages, [])
    await clock.advance('1h')
    assert.match(messages.join(), /^A session that never had a page has ended\. /)
  })

  it('is not emitted if the response to a browser is not a page', async t => {
    const { clock, messages, send } = watched(t)
    await send('Ada', NAVIGATION, 'application/json')
    await clock.advance('1m')
    assert.deepEqual(messages, [])
  })

  for (const isNode of [false, true]) {
    it(`is not emitted at an unload once a page has connected${isNode ? ' in a cluster' : ''}`, async t => {
      const { clock, user, messages, send } = watched(t, isNode)
      const page = await user('Ada').connect()
      await send('Bob', NAVIGATION, HTML)
      await clock.advance('1m')
      page.close()
      await clock.advance('1m')
      await send('Ada', NAVIGATION, HTML)
      await clock.advance('1m')
      assert.deepEqual(messages, [])
    })
  }
})
