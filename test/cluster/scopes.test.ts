// Scopes of sessions that several nodes share.

import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import type { CachedFile } from '../../lib/index.ts'
import { type PlaceSetting, redisSetting } from '../support/cluster/places.ts'
import { scratch } from '../support/files/disk.ts'
import { idle, pass, until } from '../support/http/express.ts'
import { type Node, nodes, type RoamingUser, roamingUser } from '../support/http/nodes.ts'

const GRACE = 60
const TAB = 'tab-0123456789abcdefghi'

/** Nodes whose hooks and callbacks record what they did, for which session or scope. */
async function cluster(t: TestContext, setting?: PlaceSetting) {
  const log: string[] = []
  const all = await nodes(t, 3, {
    ...(setting && { setting }),
    options: { gracePeriod: GRACE, cacheDir: scratch(t) },
    routes(app, gradio) {
      const score = gradio.sharedState('score', {
        value: 0,
        deleteCallback: (value, { session }) => log.push(`delete ${value} ${session.key}`),
      })
      for (const name of ['load', 'unload', 'ended'] as const)
        gradio[name](({ session }) => log.push(`${name} ${session.key ?? 'session'}`), { scoped: true })
      app.use('/scope/:key', (req, _res, next) => req.gradioState.establish().then(next, next))
      app.post('/scope/:key', async (req, res) => {
        const scope = req.gradioState.scoped(req.params.key as string)
        await score.update(scope, points => points + 1)
        res.json(await score.get(scope))
      })
      app.get('/scope/:key', async (req, res) => {
        const scope = req.gradioState.scoped(req.params.key as string)
        res.json([await score.has(scope), scope.get('local') ?? null])
      })
      app.put('/scope/:key', async (req, res, next) => {
        const scope = req.gradioState.scoped(req.params.key as string)
        // Without waiting for the other nodes.
        scope.set('local', 'value')
        scope.saveFile('content', { name: 'file.txt' }).then(file => res.json(file), next)
      })
      app.post('/tab', async (req, res) => {
        const { tab } = req.gradioState
        if (tab !== undefined) await score.update(tab, points => points + 1)
        res.json(tab === undefined ? null : await score.get(tab))
      })
      app.post('/end', async (req, res) => {
        await req.gradioState.end()
        res.end()
      })
    },
  })
  const [a, b, c] = all as unknown as [Node, Node, Node]
  const closed = async () => {
    for (const { gradio } of all) await idle(gradio)
    await all.clock.advance(0)
  }
  return { all, a, b, c, log, closed, clock: all.clock }
}

async function ask(
  user: RoamingUser,
  node: Node,
  method: string,
  path: string,
  headers = {},
): Promise<unknown> {
  const response = await user.at(node).fetch(path, { method, headers })
  assert.equal(response.status, 200)
  return path === '/end' ? response.text() : response.json()
}

const count = (log: readonly string[], line: string) => log.filter(each => each === line).length

function declare(setting?: PlaceSetting): void {
  it('a scope is the same on all nodes: its values, and one load, unload and end', async t => {
    const { a, b, c, log, closed, clock } = await cluster(t, setting)
    const user = roamingUser()
    const page = await user.at(a).openPage()
    assert.equal(await ask(user, a, 'POST', '/scope/x'), 1)
    assert.equal(await ask(user, b, 'POST', '/scope/x'), 2)
    assert.deepEqual(await ask(user, c, 'GET', '/scope/x'), [true, null])
    assert.deepEqual(await ask(user, c, 'GET', '/scope/y'), [false, null])
    await pass(clock, 1)
    assert.deepEqual(log, ['load session', 'load x'])
    await pass(clock, GRACE + 10)
    assert.deepEqual(log.splice(0), ['load session', 'load x', 'unload x', 'delete 2 x', 'ended x'])
    assert.equal(await ask(user, b, 'POST', '/scope/x'), 1)
    await page.close()
    await closed()
    await clock.advance(2 * GRACE)
    for (const line of ['load x', 'unload x', 'delete 1 x', 'ended x', 'unload session', 'ended session'])
      assert.equal(count(log, line), 1, `${line} of ${log}`)
  })

  it('a first use that cannot wait starts a scope once', async t => {
    const { a, b, log, closed, clock } = await cluster(t, setting)
    const user = roamingUser()
    await ask(user, a, 'PUT', '/scope/x')
    await ask(user, b, 'PUT', '/scope/x')
    await closed()
    assert.deepEqual(log.splice(0), ['load session', 'load x'])
    await clock.advance(2 * GRACE)
    // The files are removed in real time.
    await until(() => log.length === 4)
    assert.deepEqual(log.sort(), ['ended session', 'ended x', 'unload session', 'unload x'])
  })

  it('scopes end with their session on all nodes, each once', async t => {
    const { a, b, c, log, closed, clock } = await cluster(t, setting)
    const user = roamingUser()
    await ask(user, a, 'POST', '/scope/x')
    await ask(user, b, 'POST', '/scope/y')
    await ask(user, b, 'PUT', '/scope/x')
    await closed()
    log.length = 0
    await ask(user, c, 'POST', '/end')
    await closed()
    await clock.advance(1)
    assert.deepEqual([...log].sort(), [
      'delete 1 x',
      'delete 1 y',
      'ended session',
      'ended x',
      'ended y',
      'unload session',
      'unload x',
      'unload y',
    ])
    await clock.advance(2 * GRACE)
    assert.equal(log.length, 8)
  })

  it('on one node they unload and end before it', async t => {
    const { a, log, closed, clock } = await cluster(t, setting)
    const user = roamingUser()
    await ask(user, a, 'POST', '/scope/x')
    await closed()
    await clock.advance(2 * GRACE)
    assert.deepEqual(log, [
      ...['load session', 'load x', 'unload x', 'unload session'],
      ...['delete 1 x', 'ended x', 'ended session'],
    ])
  })

  it('the scope of a tab is open while its page is on another node', async t => {
    const { a, b, c, log, closed, clock } = await cluster(t, setting)
    const user = roamingUser()
    const headers = { 'gradio-state-tab': TAB }
    const page = await user.at(a).openPage({ tab: TAB })
    assert.equal(await ask(user, b, 'POST', '/tab', headers), 1)
    assert.equal(await ask(user, c, 'POST', '/tab', headers), 2)
    await pass(clock, 2 * GRACE)
    assert.deepEqual(log.splice(0), ['load session', `load tab:${TAB}`])
    assert.equal(await ask(user, a, 'POST', '/tab', headers), 3)
    await page.close()
    await closed()
    await clock.advance(2 * GRACE)
    assert.deepEqual([...log].sort(), [
      `delete 3 tab:${TAB}`,
      'ended session',
      `ended tab:${TAB}`,
      'unload session',
      `unload tab:${TAB}`,
    ])
  })

  it('every node serves the files of a scope to its user', async t => {
    const { a, b } = await cluster(t, setting)
    const [user, stranger] = [roamingUser(), roamingUser()]
    const { url } = (await ask(user, a, 'PUT', '/scope/x')) as CachedFile
    await ask(stranger, b, 'PUT', '/scope/y')
    for (const node of [a, b]) {
      assert.equal(await (await user.at(node).fetch(url)).text(), 'content')
      assert.equal((await stranger.at(node).fetch(url)).status, 404)
    }
  })

  it('a node that closes ends only its part of them', async t => {
    const { a, b, log, closed } = await cluster(t, setting)
    const user = roamingUser()
    const page = await user.at(b).openPage()
    await ask(user, a, 'POST', '/scope/x')
    await ask(user, b, 'POST', '/scope/x')
    await until(() => a.gradio.stats().open === 0)
    await a.gradio.close()
    assert.equal(await ask(user, b, 'POST', '/scope/x'), 3)
    assert.deepEqual(log, ['load session', 'load x'])
    await page.close()
    await idle(b.gradio)
    await closed()
  })
}

describe('in memory', () => declare())
describe('on Redis', () => declare(redisSetting()))
