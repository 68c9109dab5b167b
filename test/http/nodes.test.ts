// Several nodes behind a balancer without sticky sessions: each request of a page may reach another one.

import assert from 'node:assert/strict'
import { createCipheriv, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { connect } from 'node:net'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Express } from 'express'
import type { GradioState } from '../../lib/index.ts'
import { type PlaceSetting, redisSetting } from '../support/cluster/places.ts'
import { pass, until } from '../support/http/express.ts'
import { type Node, type Nodes, nodes, roamingUser } from '../support/http/nodes.ts'
import { dial, goodbye, heartbeat } from '../support/pages/handshake.ts'

const POST = { method: 'POST' }

const onRedis = redisSetting()
const settings = new WeakMap<TestContext, PlaceSetting>()

/** With a coordinator in memory, whose answers can be held back. Failures here would often hang forever. */
function itInMemory(behaviour: string, run: (t: TestContext) => Promise<void>) {
  test(behaviour, { timeout: 120_000 }, run)
}

/** On Redis, too. */
function it(behaviour: string, run: (t: TestContext) => Promise<void>) {
  itInMemory(behaviour, run)
  test(`${behaviour}, on Redis`, { timeout: 240_000 }, t => {
    settings.set(t, onRedis)
    return run(t)
  })
}

/** The app: responds with the session of a request, and its number of pages. */
function routes(app: Express, gradio: GradioState) {
  app.get('/who', async (req, res) => {
    await req.gradioState.establish()
    res.json({ id: req.gradioState.id, pages: req.gradioState.pages })
  })
  app.post('/logout', async (req, res) => {
    await req.gradioState.end()
    res.end()
  })
  gradio.load(() => {})
}

async function cluster(t: TestContext, count = 3) {
  const left: string[] = []
  const setting = settings.get(t)
  const all = await nodes(t, count, {
    ...(setting && { setting }),
    routes(app, gradio) {
      routes(app, gradio)
      gradio.unload(({ reason }) => left.push(reason))
    },
  })
  return { all, clock: all.clock, left, ...(Object.fromEntries(all.entries()) as Record<0 | 1 | 2, Node>) }
}

const counts = (all: Nodes) => all.map(({ gradio }) => gradio.stats().pages)
const becomes = (all: Nodes, ...expected: number[]) =>
  until(() => String(counts(all)) === String(expected), `pages ${expected}, got ${counts(all)}`)

async function who(user: ReturnType<typeof roamingUser>, node: Node) {
  return (await (await user.at(node).fetch('/who')).json()) as { id: string; pages: number }
}

it('a page that was opened on one node has its socket on another', async t => {
  const { all, left, clock, 0: a, 1: b } = await cluster(t)
  const user = roamingUser()
  const { ticket } = await heartbeat(user.at(a), 'page')
  assert.deepEqual(counts(all), [1, 0, 0])
  const { status, closed } = await dial(t, b, 'page', { ticket })
  assert.equal(status, 101)
  await becomes(all, 0, 1, 0)
  await pass(clock, 200)
  assert.deepEqual([counts(all), left], [[0, 1, 0], []])
  await b.gradio.endSession((await who(user, b)).id)
  assert.deepEqual(await closed, { code: 4000, reason: 'ended' })
  assert.deepEqual(left, ['ended'])
})

it('a goodbye reaches the node that has the socket, from one that has no part of the session', async t => {
  const { all, left, clock, 0: a, 1: b, 2: c } = await cluster(t)
  const user = roamingUser()
  const { ticket } = await heartbeat(user.at(a), 'page')
  await dial(t, b, 'page', { ticket })
  await becomes(all, 0, 1, 0)
  assert.equal(await goodbye(user.at(c), 'page'), 204)
  await becomes(all, 0, 0, 0)
  assert.equal(await goodbye(user.at(c), 'unknown'), 404)
  await clock.advance(1.9)
  assert.deepEqual(left, [])
  await clock.advance(0.1)
  await until(() => left.length === 1)
  assert.deepEqual(left, ['disconnected'])
  // The node that had the page still has its record.
  assert.equal((await heartbeat(user.at(b), 'page')).status, 409)
})

it('a page without a socket leaves its former session on another node when a heartbeat finds a new session', async t => {
  const { all, left, clock, 0: a, 1: b } = await cluster(t)
  const { ticket } = await heartbeat(roamingUser().at(a), 'page')
  assert.equal((await heartbeat(roamingUser().at(b), 'page', { ticket })).status, 200)
  await becomes(all, 0, 1, 0)
  await pass(clock, 3)
  await until(() => left.length === 1)
  assert.deepEqual(left, ['disconnected'])
})

it('a goodbye within the origin gives the next page 30 s, although it arrives on another node than the page', async t => {
  for (const within of [true, false]) {
    const { all, left, clock, 0: a, 1: b } = await cluster(t)
    const user = roamingUser()
    await heartbeat(user.at(a), 'page')
    assert.equal(await goodbye(user.at(b), 'page', { within }), 204)
    await becomes(all, 0, 0, 0)
    const delay = within ? 30 : 2
    await clock.advance(delay - 0.1)
    assert.deepEqual(left, [])
    await clock.advance(0.1)
    await until(() => left.length === 1)
    assert.deepEqual(left, ['disconnected'])
  }
})

it('a goodbye reaches the node that has the page, from one that had it before', async t => {
  const { all, 0: a, 1: b } = await cluster(t, 2)
  const user = roamingUser()
  await heartbeat(user.at(a), 'page')
  await heartbeat(user.at(b), 'page')
  await becomes(all, 0, 1)
  assert.equal(await goodbye(user.at(a), 'page'), 204)
  await becomes(all, 0, 0)
})

it('a goodbye of an earlier epoch does not affect a page on another node', async t => {
  const { all, 0: a, 1: b, 2: c } = await cluster(t)
  const user = roamingUser()
  await heartbeat(user.at(a), 'page', { n: '1' })
  await heartbeat(user.at(b), 'page', { n: '2' })
  for (const node of [a, c]) assert.equal(await goodbye(user.at(node), 'page', { n: '1' }), 204)
  await sleep(20)
  assert.deepEqual(counts(all), [0, 1, 0])
  assert.equal(await goodbye(user.at(a), 'page', { n: '2' }), 204)
  await becomes(all, 0, 0, 0)
})

it('heartbeats on changing nodes keep one page open; after the last there is one unload', async t => {
  const { all, left, clock, 0: a, 1: b, 2: c } = await cluster(t)
  const user = roamingUser()
  for (const node of [a, b, c, a, a, c, b, c, b]) {
    assert.equal((await heartbeat(user.at(node), 'page')).status, 200)
    await becomes(all, ...all.map(other => (other === node ? 1 : 0)))
    await clock.advance(60)
  }
  assert.deepEqual(left, [])
  // The last heartbeat was 60 s ago.
  await clock.advance(34.9)
  await becomes(all, 0, 1, 0)
  await clock.advance(0.1)
  await becomes(all, 0, 0, 0)
  await clock.advance(2)
  await until(() => left.length > 0)
  await clock.advance(200)
  assert.deepEqual(left, ['disconnected'])
})

it('req.gradioState.pages counts each page of the session once', async t => {
  const { all, 0: a, 1: b, 2: c } = await cluster(t)
  const user = roamingUser()
  const { id } = await who(user, a)
  await heartbeat(user.at(a), 'one')
  await heartbeat(user.at(b), 'two')
  await heartbeat(user.at(c), 'one')
  await becomes(all, 0, 1, 1)
  for (const node of all) assert.deepEqual(await who(user, node), { id, pages: 2 })
})

it('the late close of a socket that was replaced on another node has no effect', async t => {
  const { all, left, clock, 0: a, 1: b } = await cluster(t, 2)
  const user = roamingUser()
  const former = await dial(t, a, 'page', await heartbeat(user.at(a), 'page'))
  const { ticket } = await heartbeat(user.at(b), 'page')
  // Without a close code: a code would tell the page that its session has ended.
  assert.equal((await former.closed).code, 1006)
  assert.equal((await dial(t, b, 'page', { ticket })).status, 101)
  await pass(clock, 60)
  assert.deepEqual([counts(all), left], [[0, 1], []])
})

it('a page can return to a node that it was moved from, with the same epoch', async t => {
  const { all, 0: a, 1: b } = await cluster(t, 2)
  const user = roamingUser()
  const first = await dial(t, a, 'page', await heartbeat(user.at(a), 'page'))
  const second = await dial(t, b, 'page', await heartbeat(user.at(a), 'page'))
  await first.closed
  const { ticket } = await heartbeat(user.at(a), 'page')
  await second.closed
  assert.equal((await dial(t, a, 'page', { ticket })).status, 101)
  await becomes(all, 1, 0)
})

itInMemory(
  'a heartbeat holds against the move that came before it, of which the node is notified late',
  async t => {
    for (const hasSocket of [false, true]) {
      const { all, left, clock, 0: a, 1: b } = await cluster(t, 2)
      const user = roamingUser()
      const first = await heartbeat(user.at(a), 'page')
      if (hasSocket) await dial(t, a, 'page', first)
      const release = a.hold()
      await heartbeat(user.at(b), 'page')
      assert.deepEqual(counts(all), [1, 1])
      const again = heartbeat(user.at(a), 'page')
      await becomes(all, 1, 0)
      release()
      const { status, ticket } = await again
      assert.equal(status, 200)
      assert.deepEqual(counts(all), [1, 0])
      assert.equal((await dial(t, a, 'page', { ticket })).status, 101)
      await pass(clock, 60)
      assert.deepEqual([counts(all), left], [[1, 0], []])
    }
  },
)

itInMemory('a socket that closes while its page is reported again has no effect', async t => {
  const { all, left, clock, 0: a } = await cluster(t, 2)
  const user = roamingUser()
  const { socket } = await dial(t, a, 'page', await heartbeat(user.at(a), 'page'))
  const release = a.hold()
  const again = heartbeat(user.at(a), 'page')
  await sleep(20)
  socket.terminate()
  await sleep(20)
  release()
  assert.equal((await again).status, 200)
  await clock.advance(60)
  assert.deepEqual([counts(all), left], [[1, 0], []])
})

itInMemory('a heartbeat keeps its page even if the coordinator fails', async t => {
  const { all, left, clock, 0: a } = await cluster(t, 2)
  const user = roamingUser()
  const { socket } = await dial(t, a, 'page', await heartbeat(user.at(a), 'page'))
  a.coordinator.enter = async () => {
    await sleep(40)
    throw new Error('away')
  }
  const again = user.at(a).fetch('/gradio_api/heartbeat/page?n=1', POST)
  await sleep(20)
  socket.terminate()
  assert.equal((await again).status, 500)
  await clock.advance(60)
  assert.deepEqual([counts(all), left], [[1, 0], []])
})

itInMemory('a goodbye that arrives while its page is reported again remains valid', async t => {
  const { all, 0: a } = await cluster(t, 2)
  const user = roamingUser()
  await heartbeat(user.at(a), 'page')
  const release = a.hold()
  const again = heartbeat(user.at(a), 'page')
  await sleep(20)
  assert.equal(await goodbye(user.at(a), 'page'), 204)
  release()
  assert.equal((await again).status, 409)
  assert.deepEqual(counts(all), [0, 0])
})

it('parallel heartbeats of one page are one page', async t => {
  const { all, left, clock, 0: a, 1: b } = await cluster(t, 2)
  const user = roamingUser()
  await who(user, a)
  const answers = await Promise.all([a, a, a, b, b].map(node => heartbeat(user.at(node), 'page')))
  assert.deepEqual(
    answers.map(({ status }) => status),
    [200, 200, 200, 200, 200],
  )
  const total = () => counts(all).reduce((sum, pages) => sum + pages)
  await until(() => total() === 1)
  await clock.advance(60)
  assert.deepEqual([total(), left], [1, []])
})

it('a ticket is valid for one socket, on any node', async t => {
  const { all, 0: a, 1: b } = await cluster(t)
  const user = roamingUser()
  const { ticket } = await heartbeat(user.at(a), 'page')
  const { socket } = await dial(t, b, 'page', { ticket })
  await becomes(all, 0, 1, 0)
  await heartbeat(user.at(b), 'other')
  for (const node of [a, b]) {
    await heartbeat(roamingUser().at(node), 'other')
    assert.equal((await dial(t, node, 'page', { ticket })).status, 401)
  }
  socket.terminate()
  await until(() => b.gradio.sessions().every(({ pages }) => pages < 2))
  assert.equal((await dial(t, b, 'page', { ticket })).status, 401)
})

it('a ticket that was invalidated by a newer one is rejected by the node of the page', async t => {
  const { all, 0: a, 1: b } = await cluster(t, 2)
  const user = roamingUser()
  const { ticket: older } = await heartbeat(user.at(a), 'page')
  const { ticket: newer } = await heartbeat(user.at(b), 'page')
  await becomes(all, 0, 1)
  for (const node of [a, b]) assert.equal((await dial(t, node, 'page', { ticket: older })).status, 401)
  assert.equal((await dial(t, b, 'page', { ticket: newer })).status, 101)
})

it('a ticket is valid for 30 s', async t => {
  const { clock, 0: a, 1: b } = await cluster(t, 2)
  await heartbeat(roamingUser().at(b), 'other')
  for (const [node, age, status] of [
    [b, 30, 101],
    [b, 30.1, 401],
    [a, 30.1, 401],
  ] as const) {
    const { ticket } = await heartbeat(roamingUser().at(a), 'page')
    await clock.advance(age)
    assert.equal((await dial(t, node, 'page', { ticket })).status, status)
  }
})

it('a ticket that was modified, or encrypted with another key, is rejected', async t => {
  const { all, 0: a, 1: b } = await cluster(t, 2)
  await heartbeat(roamingUser().at(b), 'other')
  const { ticket } = await heartbeat(roamingUser().at(a), 'page')
  const bytes = Buffer.from(ticket, 'base64url')
  const forged: Buffer[] = [Buffer.alloc(0), randomBytes(28), randomBytes(29), bytes.subarray(0, -1)]
  for (const at of [0, 12, 40, bytes.length - 1]) {
    const changed = Buffer.from(bytes)
    changed[at] = (changed[at] as number) ^ 1
    forged.push(changed)
  }
  const cipher = createCipheriv('aes-256-gcm', randomBytes(32), bytes.subarray(0, 12))
  forged.push(
    Buffer.concat([bytes.subarray(0, 12), cipher.update('[]'), cipher.final(), cipher.getAuthTag()]),
  )
  for (const node of [a, b]) {
    for (const sealed of [
      ...forged.map(bytes => bytes.toString('base64url')),
      'x'.repeat(5_000),
      `${ticket}A`,
      `${ticket}=`,
      `${ticket}====`,
    ])
      assert.equal((await dial(t, node, 'page', { ticket: sealed })).status, 401, sealed)
  }
  assert.deepEqual(counts(all), [1, 1])
  assert.equal((await dial(t, b, 'page', { ticket })).status, 101)
})

it('a ticket of another page or epoch is rejected on another node too', async t => {
  const { all, 0: a, 1: b } = await cluster(t, 2)
  const user = roamingUser()
  const { ticket } = await heartbeat(user.at(a), 'page', { n: '2' })
  assert.equal((await dial(t, b, 'other', { ticket, n: '2' })).status, 409)
  assert.equal((await dial(t, b, 'page', { ticket, n: '1' })).status, 409)
  assert.deepEqual(counts(all), [1, 0])
  assert.equal((await dial(t, b, 'page', { ticket, n: '2' })).status, 101)
})

it('a ticket of a session that has ended is rejected', async t => {
  const { all, 0: a, 1: b } = await cluster(t, 2)
  const user = roamingUser()
  const { ticket } = await heartbeat(user.at(a), 'page')
  await user.at(a).fetch('/logout', POST)
  assert.equal((await dial(t, b, 'page', { ticket })).status, 401)
  assert.deepEqual(counts(all), [0, 0])
})

it('a ticket is opaque to scripts, and short', async t => {
  const { 0: a } = await cluster(t, 1)
  const user = roamingUser()
  const { ticket } = await heartbeat(user.at(a), 'p'.repeat(64), { n: '999999999' })
  assert.ok(ticket.length < 500, `${ticket.length}`)
  const token = user.at(a).cookies.get('gradio_state') ?? ''
  assert.ok(token.length > 20)
  assert.ok(!Buffer.from(ticket, 'base64url').includes(token))
})

itInMemory('what comes on the socket while its page is being opened is not lost', async t => {
  const { all, 0: a, 1: b } = await cluster(t, 2)
  const { ticket } = await heartbeat(roamingUser().at(a), 'page')
  const release = b.hold()
  const socket = connect({ port: b.port, host: '127.0.0.1' })
  t.after(() => socket.destroy())
  socket.write(handshake(ticket))
  await sleep(20)
  // A close with code 1000, masked with zeros: the page's goodbye.
  socket.write(Buffer.from('888200000000', 'hex'))
  await sleep(5)
  socket.write(Buffer.from('03e8', 'hex'))
  await sleep(20)
  release()
  const [answer] = (await once(socket, 'data')) as [Buffer]
  assert.match(answer.toString('latin1'), /^HTTP\/1\.1 101 /)
  await until(() => b.gradio.stats().pages === 0 && b.gradio.stats().sessions === 1)
  assert.deepEqual(counts(all), [0, 0])
  // 1000 is a goodbye, so this epoch is over.
  assert.equal((await b.gradio.stats()).open, 0)
})

itInMemory(
  'a socket that is cut while its page is being opened does no harm: the page continues with heartbeats',
  async t => {
    const { all, left, clock, 0: a, 1: b } = await cluster(t, 2)
    const { ticket } = await heartbeat(roamingUser().at(a), 'page')
    const release = b.hold()
    const socket = connect({ port: b.port, host: '127.0.0.1' })
    socket.on('error', () => {})
    socket.write(handshake(ticket))
    await sleep(20)
    socket.resetAndDestroy()
    await sleep(20)
    release()
    await becomes(all, 0, 1)
    await clock.advance(94)
    assert.deepEqual([counts(all), left], [[0, 1], []])
    await clock.advance(1)
    await becomes(all, 0, 0)
    await clock.advance(2)
    await until(() => left.length > 0)
    assert.deepEqual([left, b.errors], [['disconnected'], []])
  },
)

itInMemory('close() refuses a socket whose page is being opened', async t => {
  for (const isAnswered of [false, true]) {
    const { all, 0: a, 1: b } = await cluster(t, 2)
    const { ticket } = await heartbeat(roamingUser().at(a), 'page')
    const release = b.hold()
    const dialled = dial(t, b, 'page', { ticket })
    await sleep(20)
    const closed = b.gradio.close()
    if (isAnswered) release()
    assert.equal((await dialled).status, 503)
    await closed
    release()
    await sleep(20)
    assert.equal(b.gradio.stats().pages, 0)
    assert.deepEqual(b.errors, [])
    assert.equal(all.length, 2)
  }
})

it('a cookie that one node has set finds the same session on the others', async t => {
  const { 0: a, 1: b, 2: c } = await cluster(t)
  const user = roamingUser()
  const { id } = await who(user, a)
  for (const node of [b, c, a]) assert.equal((await who(user, node)).id, id)
  // Even if it has ended: parallel requests agree on the next session.
  await user.at(b).fetch('/logout', POST)
  const lives = await Promise.all([a, b, c].map(async node => (await who(user, node)).id))
  assert.equal(new Set([...lives, id]).size, 2)
})

it('a logout on one node ends the pages on the others, with the reason', async t => {
  const { all, left, 0: a, 1: b } = await cluster(t, 2)
  const user = roamingUser()
  const { closed } = await dial(t, b, 'page', await heartbeat(user.at(b), 'page'))
  await user.at(a).fetch('/logout', POST)
  assert.deepEqual(await closed, { code: 4000, reason: 'ended' })
  await until(() => all.every(({ gradio }) => gradio.stats().sessions === 0))
  assert.deepEqual(left, ['ended'])
})

function handshake(ticket: string): string {
  return (
    `GET /gradio_api/heartbeat/page?n=1&ticket=${ticket} HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
    'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n'
  )
}
