// Pages that were opened by a request without a cookie, without another request since: many such requests
// don't evict the sessions of users who returned.

import assert from 'node:assert/strict'
import { describe, it, type TestContext, test } from 'node:test'
import express, { type Express } from 'express'
import type { GradioState, GradioStateOptions } from '../../lib/index.ts'
import type { Visitor } from '../../lib/testing/index.ts'
import { redisSetting } from '../support/cluster/places.ts'
import { scratch } from '../support/files/disk.ts'
import { forEachExpress, json, type Served, site, until } from '../support/http/express.ts'
import { forEachKoa, koaSite } from '../support/http/koa.ts'
import { KOA_SESSIONS } from '../support/http/koa-sessions.ts'
import { nodes, roamingUser } from '../support/http/nodes.ts'
import { dial, heartbeat } from '../support/pages/handshake.ts'

const MOST = 20
const FLOOD = 30
const POST = { method: 'POST' }

interface Attacked extends Served {
  readonly gradio: GradioState
}

function routes(app: Express): void {
  app.post('/name/:name', (req, res) => {
    req.gradioState.set('name', req.params.name)
    res.end()
  })
  app.get('/name', (req, res) => res.json(req.gradioState.get('name') ?? null))
}

async function attacked(
  t: TestContext,
  module = express,
  options: GradioStateOptions = {},
  session: false | object = false,
): Promise<Attacked> {
  return site(t, module, { options: { maxSessions: MOST, ...options }, session, routes })
}

const nameOf = async (user: Visitor) => (await json(user.fetch('/name'))).body
/** A user who returned: two requests, the second with the cookie of the first. */
async function returned({ visitor }: Served, name: string): Promise<Visitor> {
  const user = visitor()
  await user.fetch(`/name/${name}`, POST)
  await user.fetch(`/name/${name}`, POST)
  return user
}

/** Opens pages as a client that keeps no cookies; returns the statuses. */
async function flood(
  { origin }: Served,
  count = FLOOD,
  headers: (number: number) => Record<string, string> = () => ({}),
): Promise<Set<number>> {
  const statuses = new Set<number>()
  for (let number = 0; number < count; number++) {
    const url = `${origin}/gradio_api/heartbeat/page-${number}?n=1`
    const answer = await fetch(url, { method: 'POST', headers: headers(number) })
    await answer.arrayBuffer()
    statuses.add(answer.status)
  }
  return statuses
}

forEachExpress((_name, module) => {
  describe('pages opened without a cookie', () => {
    it('150 of them, with room for 100, neither evict a returned user nor cause rejections', async t => {
      const app = await attacked(t, module, { maxSessions: 100 })
      const ended: string[] = []
      app.gradio.ended(({ reason }) => ended.push(reason))
      const user = await returned(app, 'Ada')
      assert.deepEqual(await flood(app, 150), new Set([200]))
      assert.equal(await nameOf(user), 'Ada')
      assert.equal((await app.visitor().fetch('/name/Bob', POST)).status, 200)
      assert.equal(app.gradio.stats().sessions, 100)
      // 152 sessions were started; hooks have run for those that were evicted.
      assert.deepEqual(ended, Array(52).fill('evicted'))
    })

    const kinds: Record<string, [(number: number) => Record<string, string>, GradioStateOptions, object?]> = {
      'with a made-up cookie each': [
        number => ({ cookie: `gradio_state=${String(number).padStart(22, 'x')}` }),
        {},
      ],
      'with a made-up cookie of express-session each': [
        number => ({ cookie: `connect.sid=s%3Amade-up-${number}.signature` }),
        {},
        {},
      ],
      'with express-session': [() => ({}), {}, {}],
      'with another user of identify() each': [
        number => ({ 'x-user': `nobody ${number}` }),
        { identify: req => (req.headers['x-user'] as string | undefined) ?? `port ${req.socket.remotePort}` },
      ],
    }
    for (const [kind, [headers, options, session]] of Object.entries(kinds)) {
      it(`${kind}: the same`, async t => {
        const app = await attacked(t, module, options, session ?? false)
        const user = app.visitor()
        const named = { headers: { 'x-user': 'Ada' } }
        await user.fetch('/name/Ada', { ...POST, ...named })
        await user.fetch('/name/Ada', { ...POST, ...named })
        assert.deepEqual(await flood(app, FLOOD, headers), new Set([200]))
        assert.equal((await json(user.fetch('/name', named))).body, 'Ada')
        assert.equal((await app.visitor().fetch('/name/Bob', POST)).status, 200)
      })
    }

    it('that leave again without one: the same', async t => {
      const app = await attacked(t, module)
      const user = await returned(app, 'Ada')
      for (let number = 0; number < FLOOD; number++) {
        assert.equal((await app.visitor().fetch(`/gradio_api/heartbeat/${number}`, POST)).status, 200)
        assert.equal((await app.visitor().fetch(`/gradio_api/pagehide/${number}`, POST)).status, 404)
      }
      assert.equal(await nameOf(user), 'Ada')
    })

    it('uploads without one: the same', async t => {
      const app = await attacked(t, module, { uploadRoute: true, cacheDir: scratch(t) })
      const user = await returned(app, 'Ada')
      for (let number = 0; number < FLOOD; number++) {
        const body = new FormData()
        body.set('files', new Blob(['some bytes']), 'file')
        const answer = await fetch(`${app.origin}/gradio_api/upload`, { method: 'POST', body })
        assert.deepEqual([answer.status, ((await answer.json()) as unknown[]).length], [200, 1])
      }
      assert.equal(await nameOf(user), 'Ada')
      assert.equal(app.gradio.stats().sessions, MOST)
    })

    it('count as pages of their sessions while they are open', async t => {
      const app = await attacked(t, module)
      await flood(app, 3)
      const { open, loaded, pages } = app.gradio.stats()
      assert.deepEqual([open, loaded, pages], [3, 3, 3])
    })
  })

  describe("a page can't be evicted", () => {
    /** A page of a user who had no cookie, as the only request. */
    async function opened(t: TestContext) {
      const app = await attacked(t, module)
      const user = app.visitor()
      const { ticket } = await heartbeat(user, 'page')
      const [session] = app.gradio.sessions()
      assert.ok(session)
      const isThere = () => app.gradio.session(session.id) !== undefined
      return { app, user, ticket, isThere }
    }

    it('not by its first request alone; then its socket is rejected, and it opens again', async t => {
      const { app, user, ticket, isThere } = await opened(t)
      await flood(app)
      assert.equal(isThere(), false)
      assert.equal((await dial(t, app, 'page', { ticket })).status, 401)
      const again = await heartbeat(user, 'page')
      assert.equal((await dial(t, app, 'page', { ticket: again.ticket })).status, 101)
    })

    it('once it has its socket', async t => {
      const { app, ticket, isThere } = await opened(t)
      await dial(t, app, 'page', { ticket })
      await flood(app)
      assert.equal(isThere(), true)
    })

    it('once it has sent its second heartbeat, if it has no socket', async t => {
      const { app, user, isThere } = await opened(t)
      await heartbeat(user, 'page')
      await flood(app)
      assert.equal(isThere(), true)
    })

    for (const path of ['/nothing', '/name', '/gradio_api/file/0/name', '/gradio_api/heartbeat/other']) {
      it(`once a request to ${path} with its cookie has arrived`, async t => {
        const { app, user, isThere } = await opened(t)
        await user.fetch(path, path.endsWith('other') ? POST : {})
        await flood(app)
        assert.equal(isThere(), true)
      })
    }

    it('so that users are only rejected when all sessions have such pages', async t => {
      const app = await attacked(t, module)
      const users = Array.from({ length: MOST }, () => app.visitor())
      for (const user of users) await heartbeat(user, 'page')
      for (const user of users) await heartbeat(user, 'page')
      assert.deepEqual(await flood(app, 2), new Set([503]))
      assert.equal(app.gradio.stats().ended.evicted, 0)
    })

    it('and once it has left, its session is evicted after those that never returned', async t => {
      const { app, user, isThere } = await opened(t)
      await user.fetch('/gradio_api/pagehide/page?n=1', POST)
      await until(() => app.gradio.stats().open === 0)
      await flood(app)
      assert.equal(isThere(), true)
    })
  })
})

forEachKoa(Koa => {
  for (const [name, koaSession] of Object.entries(KOA_SESSIONS)) {
    it(`with ${name}: pages opened without a cookie make room for others`, async t => {
      const app = await koaSite(t, Koa, { options: { maxSessions: MOST }, koaSession: koaSession() })
      const user = app.visitor()
      await user.fetch('/set?Ada', POST)
      await user.fetch('/set?Ada', POST)
      assert.deepEqual(await flood(app), new Set([200]))
      assert.equal((await json<{ value: string }>(user.fetch('/get'))).body.value, 'Ada')
    })
  }
})

describe('on several nodes', () => {
  const setting = redisSetting()

  test('pages opened without a cookie make room; one that another node keeps continues there', async t => {
    const all = await nodes(t, 2, { options: { maxSessions: MOST }, setting, routes })
    const [a, b] = all
    assert.ok(a && b)
    const ended: string[] = []
    for (const { gradio } of all) gradio.ended(({ session, reason }) => ended.push(`${session.id} ${reason}`))
    const [user, beating] = [roamingUser(), roamingUser()]
    const { ticket } = await heartbeat(user.at(a), 'page')
    const ids = [a.gradio.sessions()[0]?.id]
    await heartbeat(beating.at(a), 'page')
    ids.push(a.gradio.sessions()[1]?.id)
    assert.equal((await dial(t, b, 'page', { ticket })).status, 101)
    await heartbeat(beating.at(b), 'page')
    await until(() => a.gradio.stats().pages === 0, 'that both pages are at the other node')
    for (const node of all) assert.deepEqual(await flood(node), new Set([200]))
    assert.deepEqual(
      b.gradio
        .sessions()
        .slice(0, 2)
        .map(({ id }) => id),
      ids,
    )
    // Their part at the first node had returned, because its eviction would have deleted its values.
    assert.deepEqual(
      ids.map(id => a.gradio.session(id ?? '') !== undefined),
      [true, true],
    )
    await until(() => ended.length >= 2 * (FLOOD - MOST))
    assert.deepEqual(
      ended.filter(line => !line.endsWith(' evicted') || ids.some(id => line.startsWith(id ?? ''))),
      [],
    )
  })
})
