// The user's identity on several nodes: a token that one node has stored in a cookie or framework session is valid on all.

import assert from 'node:assert/strict'
import { it } from 'node:test'
import session, { MemoryStore } from 'express-session'
import { countEnters } from '../support/cluster/count-enters.ts'
import { sessionDefaults, until } from '../support/http/express.ts'
import { type Node, type NodesOptions, nodes, roamingUser } from '../support/http/nodes.ts'
import { dial, heartbeat } from '../support/pages/handshake.ts'

/** Each node has its own store over the same sessions, as with stores in a database. */
function frameworkSessions(): NodesOptions {
  const sessions = {}
  return {
    before(app) {
      const store = Object.assign(new MemoryStore(), { sessions })
      app.use(session(sessionDefaults({ store })))
    },
    routes(app) {
      app.get('/plain', (req, res) => {
        Object.assign(req.session, { seen: true })
        res.end()
      })
      app.get('/who', async (req, res) => {
        await req.gradioState.establish()
        res.end(req.gradioState.id)
      })
      app.post('/logout', (req, res) => req.session.destroy(() => res.end()))
    },
  }
}

it('a framework session that was never used here costs no round trip', async t => {
  const all = await nodes(t, 2, frameworkSessions())
  const [a, b] = [...all] as [Node, Node]
  const user = roamingUser()
  await user.at(a).fetch('/plain')
  const asked = all.map(({ coordinator }) => countEnters(coordinator))
  for (const node of [a, b]) await user.at(node).fetch('/plain')
  assert.deepEqual(asked, [{ enters: 0 }, { enters: 0 }])
  const id = await (await user.at(a).fetch('/who')).text()
  assert.deepEqual(asked, [{ enters: 1 }, { enters: 0 }])
  await user.at(b).fetch('/plain')
  assert.deepEqual(asked, [{ enters: 1 }, { enters: 1 }])
  assert.equal(await (await user.at(b).fetch('/who')).text(), id)
})

it('a logout that destroys the framework session on one node ends the pages on the others', async t => {
  const [a, b] = (await nodes(t, 2, frameworkSessions())) as unknown as [Node, Node]
  const user = roamingUser()
  const { closed } = await dial(t, b, 'page', await heartbeat(user.at(b), 'page'))
  await user.at(a).fetch('/logout', { method: 'POST' })
  assert.deepEqual(await closed, { code: 4000, reason: 'destroyed' })
  await until(() => a.gradio.stats().sessions + b.gradio.stats().sessions === 0)
})

it('a use that cannot wait starts its session at once, even while another one waits for it', async t => {
  const [a] = (await nodes(t, 1, {
    routes(app) {
      app.get('/now', (req, res) => res.end(req.gradioState.id))
      app.get('/both', async (req, res) => {
        const later = req.gradioState.establish()
        const { id } = req.gradioState
        await later
        res.json([id, req.gradioState.id])
      })
    },
  })) as unknown as [Node]
  for (let times = 0; times < 3; times++) {
    const visitor = roamingUser().at(a)
    const answer = await visitor.fetch('/both')
    const [first, second] = (await answer.json()) as [string, string]
    assert.equal(first, second)
    assert.equal(answer.headers.getSetCookie().length, 1)
    assert.equal(await (await visitor.fetch('/now')).text(), first)
    await until(() => a.gradio.stats().open === 0)
    assert.equal(a.gradio.stats().sessions, times + 1)
  }
  const visitor = roamingUser().at(a)
  const id = await (await visitor.fetch('/now')).text()
  assert.equal(await (await visitor.fetch('/now')).text(), id)
})
