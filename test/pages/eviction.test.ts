// How pages of a session affect the order in which closed sessions are evicted.

import assert from 'node:assert/strict'
import { it, type TestContext } from 'node:test'
import { forEachExpress, idle, pass, site } from '../support/http/express.ts'
import { dial, goodbye, heartbeat } from '../support/pages/handshake.ts'

forEachExpress((_name, module) => {
  /** An app with room for two sessions: that of a user, and one to compare it with. */
  async function full(t: TestContext) {
    const made = await site(t, module, { session: false, options: { maxSessions: 2 } })
    const { gradio, visitor } = made
    /** Starts one more session. @returns the ids of those that are left of the first two */
    const evictOne = async () => {
      await idle(gradio)
      const ids = gradio.sessions().map(({ id }) => id)
      assert.equal(ids.length, 2)
      await heartbeat(visitor(), 'page')
      return ids.filter(id => gradio.session(id) !== undefined)
    }
    return { ...made, evictOne }
  }

  it('the page time of a page that falls silent ends at its last heartbeat', async t => {
    const { gradio, clock, visitor, evictOne } = await full(t)
    const [user, script] = [visitor(), visitor()]
    for (let beats = 0; beats < 3; beats++) {
      await heartbeat(user, 'page')
      await clock.advance(20)
    }
    for (let beats = 0; beats < 2; beats++) await heartbeat(script, 'page')
    const [ofUser] = gradio.sessions()
    // The page of the script counts as connected for as long as that of the user, but sends nothing.
    await clock.advance(95)
    assert.deepEqual(await evictOne(), [ofUser?.id])
  })

  it('the page time of a page with a socket ends with its socket', async t => {
    const { gradio, clock, visitor, evictOne, ...served } = await full(t)
    const [user, script] = [visitor(), visitor()]
    const { socket, status } = await dial(t, served, 'page', await heartbeat(user, 'page'))
    assert.equal(status, 101)
    const [ofUser] = gradio.sessions()
    await pass(clock, 31)
    socket.terminate()
    await idle(gradio)
    for (let beats = 0; beats < 2; beats++) await heartbeat(script, 'page')
    await goodbye(script, 'page')
    assert.deepEqual(await evictOne(), [ofUser?.id])
  })

  it('a late goodbye to a closed session is not a return', async t => {
    const { gradio, clock, visitor, evictOne } = await full(t)
    const [late, returned] = [visitor(), visitor()]
    await heartbeat(late, 'page')
    await clock.advance(95)
    for (let beats = 0; beats < 2; beats++) await heartbeat(returned, 'page')
    await goodbye(returned, 'page')
    const [, ofReturned] = gradio.sessions()
    assert.equal(await goodbye(late, 'page'), 204)
    assert.deepEqual(await evictOne(), [ofReturned?.id])
  })
})
