// Late events of an old connection never affect a page that has a newer one.

import assert from 'node:assert/strict'
import { it } from 'node:test'
import { forEachExpress, idle, pass, site, until } from '../support/http/express.ts'
import { dial, goodbye, heartbeat } from '../support/pages/handshake.ts'

forEachExpress((_name, express) => {
  it('a heartbeat that arrives after the goodbye is rejected, a higher epoch opens the page again', async t => {
    const { gradio, visitor } = await site(t, express)
    const user = visitor()
    await heartbeat(user, 'page', { n: '1' })
    assert.equal(await goodbye(user, 'page', { n: '1' }), 204)
    const late = await heartbeat(user, 'page', { n: '1' })
    assert.deepEqual([late.status, late.code, gradio.stats().pages], [409, 'PAGE_GONE', 0])
    assert.equal((await heartbeat(user, 'page', { n: '2' })).status, 200)
    assert.equal(gradio.stats().pages, 1)
  })

  it('a goodbye of an earlier epoch does nothing', async t => {
    const { gradio, visitor } = await site(t, express)
    const user = visitor()
    await heartbeat(user, 'page', { n: '1' })
    await heartbeat(user, 'page', { n: '2' })
    assert.equal(await goodbye(user, 'page', { n: '1' }), 204)
    assert.equal(gradio.stats().pages, 1)
    const late = await heartbeat(user, 'page', { n: '1' })
    assert.deepEqual([late.status, late.code], [409, 'PAGE_GONE'])
    assert.equal(await goodbye(user, 'page', { n: '2' }), 204)
    assert.equal(gradio.stats().pages, 0)
  })

  it('a goodbye is remembered for two minutes', async t => {
    const { clock, visitor } = await site(t, express)
    const user = visitor()
    await heartbeat(user, 'page')
    await goodbye(user, 'page')
    await clock.advance(119)
    assert.equal((await heartbeat(user, 'page')).status, 409)
    await clock.advance(1)
    assert.equal((await heartbeat(user, 'page')).status, 200)
  })

  it('without an epoch a page can return at any time', async t => {
    const { gradio, visitor } = await site(t, express)
    const user = visitor()
    for (let times = 0; times < 3; times++) {
      assert.equal((await heartbeat(user, 'page', { n: '' })).status, 200)
      assert.equal(gradio.stats().pages, 1)
      assert.equal(await goodbye(user, 'page', { n: '' }), 204)
      assert.equal(gradio.stats().pages, 0)
    }
  })

  for (const session of [false, {}] as const) {
    const kind = session === false ? 'own cookie' : 'express-session'
    it(`a page without a socket leaves its former session when a heartbeat finds a new one: ${kind}`, async t => {
      const { gradio, clock, visitor } = await site(t, express, { session })
      const unloaded: string[] = []
      gradio.unload(({ session }) => unloaded.push(session.id))
      const user = visitor()
      const page = await user.openPage({ socket: false })
      const [former] = gradio.sessions()
      user.cookies.clear()
      assert.equal(await page.beat(), 200)
      assert.deepEqual(
        gradio.sessions().map(({ id, pages }) => [id === former?.id, pages]),
        [
          [true, 0],
          [false, 1],
        ],
      )
      await pass(clock, 5)
      assert.deepEqual(unloaded, [former?.id])
    })
  }

  it('a page without a socket stays open when its framework session is regenerated and keeps its state', async t => {
    const { gradio, visitor } = await site(t, express, {
      session: {},
      options: { onRegenerate: 'keep' },
      routes: app =>
        void app.get('/login', (req, res) => {
          req.gradioState.set('name', 'Ada')
          req.session.regenerate(() => res.end())
        }),
    })
    const user = visitor()
    const page = await user.openPage({ socket: false })
    await user.fetch('/login')
    for (let times = 0; times < 2; times++) {
      assert.deepEqual([await page.beat(), gradio.stats().sessions, gradio.stats().pages], [200, 1, 1])
    }
  })

  it('a heartbeat with the ticket of another page, or with an invalid one, closes no page', async t => {
    const { gradio, visitor } = await site(t, express)
    const { ticket } = await heartbeat(visitor(), 'page')
    const sent = [ticket, `${ticket.slice(0, -1)}_`, 'guess', 'A'.repeat(200)]
    for (const [index, invalid] of sent.entries()) {
      assert.equal((await heartbeat(visitor(), `page-${index}`, { ticket: invalid })).status, 200)
    }
    assert.equal(gradio.stats().pages, 1 + sent.length)
  })

  it('a second goodbye has no effect', async t => {
    const { gradio, visitor } = await site(t, express)
    const user = visitor()
    const page = await user.openPage()
    assert.deepEqual([await page.close(), await goodbye(user, page.id)], [204, 204])
    assert.equal(gradio.stats().pages, 0)
  })

  it('the late close of a replaced socket does nothing', async t => {
    const served = await site(t, express)
    const user = served.visitor()
    const first = await dial(t, served, 'page', await heartbeat(user, 'page'))
    const second = await dial(t, served, 'page', await heartbeat(user, 'page'))
    assert.deepEqual([first.status, second.status], [101, 101])
    await first.closed
    await pass(served.clock, 200)
    assert.equal(served.gradio.stats().pages, 1)
    second.socket.close(1000)
    await until(() => served.gradio.stats().pages === 0)
  })

  it('the late close of the socket of an earlier epoch does nothing', async t => {
    const served = await site(t, express)
    const user = served.visitor()
    const first = await dial(t, served, 'page', await heartbeat(user, 'page', { n: '1' }))
    const next = await heartbeat(user, 'page', { n: '2' })
    first.socket.close(1000)
    await first.closed
    assert.equal(served.gradio.stats().pages, 1)
    const second = await dial(t, served, 'page', { ticket: next.ticket, n: '2' })
    assert.equal(second.status, 101)
    assert.equal(served.gradio.stats().pages, 1)
  })

  it('a Close 1000 of a socket is a goodbye, after any other close the page may return', async t => {
    const served = await site(t, express)
    const { gradio, clock } = served
    const left: string[] = []
    gradio.unload(({ session }) => left.push(session.id))
    for (const [code, delay] of [
      [1000, 2],
      [4001, 3.5],
    ] as const) {
      const user = served.visitor()
      const { socket } = await dial(t, served, 'page', await heartbeat(user, 'page'))
      socket.close(code)
      await idle(gradio)
      assert.equal((await heartbeat(user, 'page', { n: '0' })).status, 409)
      await clock.advance(delay - 0.01)
      assert.equal(left.splice(0).length, 0)
      await clock.advance(0.01)
      assert.equal(left.splice(0).length, 1)
      assert.equal((await heartbeat(user, 'page')).status, code === 1000 ? 409 : 200)
      await goodbye(user, 'page')
      await clock.advance(10)
      left.splice(0)
    }
  })

  it('pages of two users with the same id are two pages', async t => {
    const { gradio, visitor } = await site(t, express)
    const users = [visitor(), visitor()]
    for (const user of users) await user.openPage({ id: 'page' })
    assert.equal(gradio.stats().pages, 2)
    assert.equal(await goodbye(users[0] as never, 'page'), 204)
    await until(() => gradio.stats().pages === 1)
  })

  it('two concurrent heartbeats of one page are one page', async t => {
    const { gradio, visitor } = await site(t, express)
    const user = visitor()
    await heartbeat(user, 'first')
    await Promise.all([1, 2, 3].map(() => heartbeat(user, 'page')))
    assert.equal(gradio.stats().pages, 2)
  })

  it('a page that waits for unload hooks is not opened in a session that ends meanwhile', async t => {
    const served = await site(t, express)
    const { gradio, clock } = served
    const settle: (() => void)[] = []
    gradio.unload(() => new Promise<void>(resolve => settle.push(resolve)))
    const user = served.visitor()
    const page = await user.openPage()
    const id = gradio.sessions()[0]?.id as string
    await page.close()
    await clock.advance(2)
    assert.equal(settle.length, 1)
    const waiting = heartbeat(user, 'other')
    await until(() => gradio.stats().pages === 1)
    const ended = gradio.endSession(id)
    for (const resolve of settle) resolve()
    await ended
    const answer = await waiting
    if (answer.status === 200) {
      const { status, closed } = await dial(t, served, 'other', answer)
      assert.equal(status, 101)
      assert.equal(gradio.stats().pages, 1, 'what was answered 200 is counted')
      void closed
    } else {
      assert.ok([409, 410].includes(answer.status), `answered ${answer.status}`)
    }
    assert.equal((await heartbeat(user, 'other', { n: '2' })).status, 200)
    assert.equal(gradio.stats().pages, 1)
  })
})
