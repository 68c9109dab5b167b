// The cookie that lets an open page detect that its browser has a different session.

import assert from 'node:assert/strict'
import { it } from 'node:test'
import type { Express } from 'express'
import type { GradioStateOptions } from '../../lib/index.ts'
import type { Visitor } from '../../lib/testing/index.ts'
import { forEachExpress, site } from '../support/http/express.ts'

const POST = { method: 'POST' }
const BEAT = '/gradio_api/heartbeat/page?n=1'
const RENEW = `${BEAT}&renew`

function routes(app: Express) {
  app.get('/id', (req, res) => res.end(req.gradioState.id))
  app.get('/public', (req, res) => res.set('Cache-Control', 'public').end(req.gradioState.id))
}

const own = (options: GradioStateOptions = {}) => ({ session: false as const, options, routes })

const markLine = (answer: Response) =>
  answer.headers.getSetCookie().find(line => line.startsWith('gradio_state_page='))

async function markOf(user: Visitor, path: string): Promise<string | undefined> {
  const answer = await user.fetch(path, POST)
  return answer.status === 200 ? ((await answer.json()) as { mark: string }).mark : undefined
}

forEachExpress((_name, express) => {
  it('is set with each session that starts, once pages are used', async t => {
    const { visitor } = await site(t, express, own())
    assert.equal(markLine(await visitor().fetch('/id')), undefined, 'no page yet')
    const user = visitor()
    const beat = await user.fetch(BEAT, POST)
    const { mark } = (await beat.json()) as { mark: string }
    assert.equal(markLine(beat), `${mark}; Path=/; SameSite=Lax`)
    assert.equal(markLine(await user.fetch('/id')), undefined)
    assert.equal(markLine(await user.fetch(BEAT, POST)), undefined)
    assert.notEqual(markLine(await visitor().fetch('/id')), undefined)
  })

  it('is set with framework sessions too', async t => {
    const { visitor } = await site(t, express, { routes })
    await visitor().fetch(BEAT, POST)
    const user = visitor()
    const line = markLine(await user.fetch('/id'))
    assert.equal(`gradio_state_page=${user.cookies.get('gradio_state_page')}; Path=/; SameSite=Lax`, line)
    assert.equal(line?.split(';')[0], await markOf(user, BEAT))
  })

  it("has the scope of the library's own cookie, and can be read by scripts", async t => {
    const cookie = {
      name: 'mine',
      path: '/app',
      domain: 'example.com',
      secure: true,
      sameSite: 'none',
    } as const
    const { visitor } = await site(t, express, own({ cookie: { ...cookie, partitioned: true } }))
    const lines = (await visitor().fetch(BEAT, POST)).headers.getSetCookie()
    const line = lines.find(line => line.startsWith('mine_page='))
    assert.equal(
      line?.replace(/=[\w-]{22};/, '=…;'),
      'mine_page=…; Domain=example.com; Path=/app; Secure; Partitioned; SameSite=None',
    )
  })

  it('has the prefix that a proxy strips', async t => {
    const { visitor } = await site(t, express, own({ publicPath: '/app' }))
    assert.match(String(markLine(await visitor().fetch(BEAT, POST))), /; Path=\/app;/)
  })

  it('finds no session, and the server ignores it', async t => {
    const { visitor } = await site(t, express, own())
    const user = visitor()
    await user.fetch(BEAT, POST)
    const id = await (await user.fetch('/id')).text()
    const mark = user.cookies.get('gradio_state_page') as string
    for (const value of [mark, `m.${mark}`]) {
      const stranger = visitor()
      stranger.cookies.set('gradio_state', value)
      stranger.cookies.set('gradio_state_page', mark)
      assert.notEqual(await (await stranger.fetch('/id')).text(), id)
    }
    user.cookies.set('gradio_state_page', 'another')
    assert.equal(await (await user.fetch('/id')).text(), id)
    assert.equal(user.cookies.get('gradio_state_page'), 'another')
  })

  it('is the same on each server for the same cookie', async t => {
    const [first, second] = [await site(t, express, own()), await site(t, express, own())]
    const [user, same] = [first.visitor(), second.visitor()]
    const mark = await markOf(user, BEAT)
    for (const [name, value] of user.cookies) same.cookies.set(name, value)
    assert.equal(await markOf(same, BEAT), mark)
  })

  it('is not set on a response that shared caches may store', async t => {
    const { visitor } = await site(t, express, { routes })
    await visitor().fetch(BEAT, POST)
    assert.equal(markLine(await visitor().fetch('/public')), undefined)
  })

  it('the request that renews the cookie responds with the mark of its session', async t => {
    for (const session of [false, {}] as const) {
      const { visitor, gradio } = await site(t, express, { session, routes })
      const user = visitor()
      assert.equal(await markOf(user, RENEW), undefined)
      const mark = await markOf(user, BEAT)
      assert.equal(await markOf(user, RENEW), mark)
      const { pages, sessions } = gradio.stats()
      assert.deepEqual([pages, sessions], [1, 1])
    }
  })
})
