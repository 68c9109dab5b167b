// The messages of several nodes.

import assert from 'node:assert/strict'
import { it } from 'node:test'
import { type NodesOptions, nodes, roamingUser } from '../support/http/nodes.ts'
import { publishedBy } from '../support/sessions/channels.ts'

const routes: NodesOptions['routes'] = (app, gradio) => {
  const cart = gradio.sharedState<number>('cart', { value: 0 })
  app.get('/', async (req, res) => {
    req.gradioState.set('seen', true)
    await cart.set(req.gradioState, 1)
    res.end()
  })
}

for (const hooks of [false, true])
  it(`each node publishes its part, and one node each load, unload and shared value${hooks ? ', with hooks' : ''}`, async t => {
    const both = await nodes(t, 2, { routes })
    const { clock } = both
    if (hooks)
      for (const { gradio } of both) {
        gradio.load(() => {})
        gradio.unload(() => {})
      }
    const takes = both.map(({ gradio }) => publishedBy(t, gradio))
    /** The messages of both nodes since the last call. */
    const take = () =>
      takes
        .flatMap(take => take())
        .filter(line => !line.startsWith('hook'))
        .sort()
    const user = roamingUser()
    for (const node of both) await user.at(node).fetch('/')
    assert.deepEqual(take(), ['session:begin', 'session:begin', 'session:load'])
    await clock.advance(10)
    assert.deepEqual(take(), ['session:unload disconnected'])
    await user.at(both[1]!).fetch('/')
    assert.deepEqual(take(), ['session:load'])
    await clock.advance('2h')
    assert.deepEqual(take(), [
      'session:end disconnected',
      'session:end disconnected',
      'session:unload disconnected',
      'value:delete cart disconnected',
      'value:delete seen disconnected',
      'value:delete seen disconnected',
    ])
  })

it('the unload of a session that ends while it is loaded is published by one node', async t => {
  const both = await nodes(t, 2, { routes })
  const user = roamingUser()
  for (const node of both) await user.at(node).fetch('/')
  const takes = both.map(({ gradio }) => publishedBy(t, gradio))
  const { gradio } = both[0]!
  await gradio.endSession(gradio.sessions()[0]!.id)
  await both.clock.advance(1)
  const lines = takes.flatMap(take => take('session')).sort()
  assert.deepEqual(lines, ['session:end ended', 'session:end ended', 'session:unload ended'])
})
