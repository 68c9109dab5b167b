// The lifetime of the library's own cookie, and how it is renewed.

import assert from 'node:assert/strict'
import { it } from 'node:test'
import express from 'express'
import type { GradioStateOptions } from '../../lib/index.ts'
import { forEachExpress, pass, site, until } from '../support/http/express.ts'
import { dial, heartbeat } from '../support/pages/handshake.ts'

const POST = { method: 'POST' }
const BEAT = '/gradio_api/heartbeat/page?n=1'
const DAY = 86_400

const own = (options: GradioStateOptions = {}) => ({
  session: false as const,
  options,
  routes: (app: express.Express) => void app.get('/id', (req, res) => res.end(req.gradioState.id)),
})

function lifetimeIn(answer: Response): number {
  const [line = ''] = answer.headers.getSetCookie()
  return Number(/; Max-Age=(\d+)/.exec(line)?.[1])
}

const lifetimes: [GradioStateOptions, number][] = [
  [{}, DAY],
  [{ gracePeriod: 0 }, DAY],
  [{ gracePeriod: '3d' }, 6 * DAY],
  [{ gracePeriod: '300d' }, 400 * DAY],
  [{ gracePeriod: Number.POSITIVE_INFINITY }, 400 * DAY],
  [{ gracePeriod: '3d', cookie: { maxAge: '90s' } }, 90],
]
for (const [options, expected] of lifetimes) {
  it(`with ${JSON.stringify(options)}, the cookie lasts ${expected} s`, async t => {
    const { visitor } = await site(t, express, own(options))
    assert.equal(lifetimeIn(await visitor().fetch('/id')), expected)
  })
}

forEachExpress((_name, express) => {
  it('each heartbeat renews the cookie, and other requests do not', async t => {
    const { visitor } = await site(t, express, own())
    const user = visitor()
    await user.fetch('/id')
    const cookie = user.cookies.get('gradio_state')
    assert.deepEqual((await user.fetch('/id')).headers.getSetCookie(), [])
    const beat = await user.fetch(BEAT, POST)
    assert.equal(lifetimeIn(beat), DAY)
    assert.equal(user.cookies.get('gradio_state'), cookie)
  })

  it('a page with a socket is asked to renew the cookie at half of its lifetime', async t => {
    const app = await site(t, express, own({ cookie: { maxAge: '60s' } }))
    const user = app.visitor()
    const { ticket } = await heartbeat(user, 'page')
    const { socket } = await dial(t, app, 'page', { ticket })
    const messages: string[] = []
    socket.on('message', message => messages.push(String(message)))
    const renewals = () => messages.filter(message => message === 'renew').length
    await until(() => app.gradio.stats().open === 1)
    await pass(app.clock, 29)
    assert.equal(renewals(), 0)
    await pass(app.clock, 1)
    await until(() => renewals() === 1)
    const answer = await user.fetch(`${BEAT}&renew`, POST)
    assert.deepEqual([answer.status, lifetimeIn(answer)], [200, 60])
    await pass(app.clock, 30)
    await until(() => renewals() === 2)
    assert.equal(app.gradio.stats().pages, 1)
  })

  it('a page with a framework session is not asked', async t => {
    const app = await site(t, express, { options: { cookie: { maxAge: '60s' } } })
    const { ticket } = await heartbeat(app.visitor(), 'page')
    const { socket } = await dial(t, app, 'page', { ticket })
    const messages: string[] = []
    socket.on('message', message => messages.push(String(message)))
    await pass(app.clock, 120)
    await until(() => messages.length > 0)
    assert.ok(!messages.includes('renew'))
  })

  it('a page whose socket breaks after a renewal leaves like any other', async t => {
    const app = await site(t, express, own({ cookie: { maxAge: '60s' } }))
    const { ticket } = await heartbeat(app.visitor(), 'page')
    const { socket, closed } = await dial(t, app, 'page', { ticket })
    await pass(app.clock, 31)
    socket.terminate()
    await closed
    await until(() => app.gradio.stats().pages === 0)
    await app.clock.advance(200)
    assert.equal(app.gradio.stats().loaded, 0)
  })

  it('a renewal without a session sets no cookie', async t => {
    const { visitor } = await site(t, express, own())
    const user = visitor()
    user.cookies.set('gradio_state', `m.${'0'.repeat(22)}`)
    const answer = await user.fetch(`${BEAT}&renew`, POST)
    assert.deepEqual([answer.status, answer.headers.getSetCookie()], [204, []])
  })
})
