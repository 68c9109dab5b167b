// The promises of Gradio's guide on the unload event. Each test is named after the promise, with the behaviour of Gradio's
// own code. What only a browser can show, such as a navigation that the user cancels, is tested with the client.

import assert from 'node:assert/strict'
import { it, type TestContext } from 'node:test'
import { connect } from '../../lib/client/index.ts'
import { visitor as visitorOf } from '../../lib/testing/index.ts'
import { forEachSetting } from '../support/cluster/places.ts'
import {
  type ExpressModule,
  idle,
  json,
  pass,
  type SiteOptions,
  site,
  until,
} from '../support/http/express.ts'
import { breakableNetwork } from '../support/pages/breakable-network.ts'
import { RECONNECT } from '../support/sessions/harness.ts'

const POST = { method: 'POST' }

/** An app with a value for each user, and the calls of its hooks and callbacks. */
async function chatOn(t: TestContext, express: ExpressModule, { options, routes }: SiteOptions) {
  const log: string[] = []
  const made = await site(t, express, {
    ...(options && { options }),
    routes(app, gradio) {
      const history = gradio.state<string[]>('history', {
        value: [],
        deleteCallback: (_value, { reason }) => {
          log.push(`deleted: ${reason}`)
        },
      })
      app.get('/say/:word', (req, res) => {
        req.gradioState.update(history, words => [...words, req.params.word as string])
        res.json(req.gradioState.get(history))
      })
      app.get('/html', (req, res) => {
        req.gradioState.get(history)
        res.type('html').send('<h1>Chat</h1>')
      })
      gradio.load(() => log.push('load'))
      gradio.unload(({ reason }) => log.push(`unload: ${reason}`))
      routes?.(app, gradio)
    },
  })
  return { ...made, log }
}

forEachSetting((express, { isShared, place, beside, minute }) => {
  const chat = (t: TestContext, { options, routes }: SiteOptions = {}) =>
    chatOn(t, express, { options: { ...place(), ...options }, ...(routes && { routes }) })

  it('unload runs once when the user has left, not once per socket (Gradio: per socket)', async t => {
    const { gradio, clock, log, visitor } = await chat(t)
    const user = visitor()
    const tabs = [await user.openPage(), await user.openPage(), await user.openPage()]
    const reopened = await user.openPage({ id: tabs[0]?.id as string })
    for (const tab of [...tabs.slice(1), reopened]) await tab.close()
    await clock.advance(50 * minute)
    assert.deepEqual(log, ['load', 'unload: disconnected'])
    assert.equal(gradio.stats().pages, 0)
  })

  it('unload runs without delay once the tab is closed: 2 s, or none at all with unloadDelay 0', async t => {
    for (const unloadDelay of [2, 0]) {
      const { clock, log, visitor } = await chat(t, { options: { unloadDelay } })
      const page = await visitor().openPage()
      await page.close()
      if (unloadDelay > 0) {
        await clock.advance(unloadDelay - 0.01)
        assert.deepEqual(log, ['load'])
      }
      await clock.advance(0.01)
      assert.deepEqual(log, ['load', 'unload: disconnected'])
    }
  })

  it('a shutdown unloads present users, and no one twice (Gradio runs it again for users who had left)', async t => {
    const { gradio, clock, log, visitor } = await chat(t)
    const left = await visitor().openPage()
    await left.close()
    await clock.advance(2)
    await visitor().openPage()
    // In a cluster, another node does that, unless the user returns there before.
    const other = isShared ? await chat(t, { options: beside(clock) }) : undefined
    await gradio.close()
    await clock.advance(RECONNECT + 2)
    const both = [...log, ...(other?.log ?? [])]
    const reason = isShared ? 'disconnected' : 'shutdown'
    assert.deepEqual(both, ['load', 'unload: disconnected', 'load', `unload: ${reason}`])
  })

  it('an unload hook that throws, rejects or hangs does not stop the others (Gradio stops there)', async t => {
    const { gradio, clock, log, visitor } = await chat(t)
    gradio.unload(() => {
      throw new Error('broken')
    })
    gradio.unload(() => Promise.reject(new Error('broken')))
    gradio.unload(() => new Promise(() => {}))
    gradio.unload(() => log.push('the last hook'))
    gradio.on('error', error => log.push((error as Error).message.slice(0, 8)))
    const page = await visitor().openPage()
    await page.close()
    await clock.advance(2)
    assert.deepEqual(log.sort(), ['broken', 'broken', 'load', 'the last hook', 'unload: disconnected'])
    await clock.advance(5)
    assert.ok(log.includes('Expected'), 'the one that hangs is reported after its time limit')
  })

  it('a short network interruption does not unload: the page reconnects (Gradio never reconnects)', async t => {
    const { gradio, clock, log, visitor } = await chat(t)
    const user = visitor()
    const page = await user.openPage()
    await page.crash()
    await idle(gradio)
    await clock.advance(3)
    const redialled = await user.openPage({ id: page.id })
    await pass(clock, 10 * minute)
    assert.deepEqual(log, ['load'])
    await redialled.close()
    await clock.advance(2)
    assert.deepEqual(log, ['load', 'unload: disconnected'])
  })

  it('a user who returns with the back button is present again: loaded, counted, and unloaded later (Gradio: neither)', async t => {
    const { gradio, clock, log, visitor } = await chat(t)
    const user = visitor()
    const page = await user.openPage({ epoch: 1 })
    await user.fetch('/say/hello')
    await page.close()
    await clock.advance(10 * minute)
    const back = await user.openPage({ id: page.id, epoch: 2 })
    assert.equal(gradio.stats().pages, 1)
    assert.deepEqual((await json(user.fetch('/say/again'))).body, ['hello', 'again'])
    await back.close()
    await idle(gradio)
    await clock.advance(60 * minute)
    const round = ['load', 'unload: disconnected']
    assert.deepEqual(log, [...round, ...round, 'deleted: disconnected'])
  })

  it('a closed tab is detected whatever the page did before, or is still doing (in Gradio: not after a predict)', async t => {
    const answered: (() => void)[] = []
    const { gradio, clock, log, visitor } = await chat(t, {
      routes: app => {
        app.get('/stream', (req, res) => {
          req.gradioState.set('job', {})
          res.write('first')
          answered.push(() => res.end())
        })
      },
    })
    const user = visitor()
    const page = await user.openPage()
    await user.fetch('/say/one')
    const stream = await user.fetch('/stream')
    await page.close()
    await clock.advance(2)
    assert.deepEqual(log, ['load', 'unload: disconnected'])
    for (const answer of answered) answer()
    assert.equal(await stream.text(), 'first')
    await idle(gradio)
  })

  it('state that is first used long after the page opened is cleaned up like any other (Gradio cuts the heartbeat)', async t => {
    const { clock, gradio, log, visitor } = await chat(t)
    const user = visitor()
    const page = await user.openPage()
    await pass(clock, 10 * minute)
    await user.fetch('/say/late')
    await pass(clock, 10 * minute)
    assert.deepEqual([log, gradio.stats().pages], [['load'], 1])
    await page.close()
    await idle(gradio)
    await clock.advance(60 * minute)
    assert.deepEqual(log, ['load', 'unload: disconnected', 'deleted: disconnected'])
  })

  it('a peer that vanished without a goodbye is detected within a minute (in Gradio, after 16 to 30)', async t => {
    for (const heartbeat of [5, 15, 30]) {
      const { gradio, clock, log, port } = await chat(t, { options: { heartbeat } })
      const line = await breakableNetwork(t, port)
      const user = visitorOf(`http://127.0.0.1:${line.port}`)
      await user.openPage()
      line.cut()
      await pass(clock, 60)
      assert.equal(gradio.stats().pages, 0)
      await clock.advance(4)
      assert.deepEqual(log, ['load', 'unload: disconnected'])
    }
  })

  it('a page that is rendered on the server opens no connection there (in Gradio, one that never closes)', async t => {
    const { gradio, clock, log, origin } = await chat(t)
    await assert.rejects(connect(`${origin}/gradio_api`), /needs a browser/)
    // A crawler, or a server that renders: it takes the HTML and never runs its script.
    const answer = await fetch(`${origin}/html`, { headers: { accept: 'text/html' } })
    assert.match(await answer.text(), /Chat/)
    await idle(gradio)
    assert.equal(gradio.stats().pages, 0)
    await clock.advance('31s')
    assert.deepEqual(log, ['load', 'unload: disconnected'])
    await clock.advance(60 * minute)
    assert.deepEqual(log, ['load', 'unload: disconnected', 'deleted: disconnected'])
  })

  it('no user can close, unload or delete what belongs to another (in Gradio, anyone who knows the hash)', async t => {
    const { gradio, clock, log, visitor } = await chat(t)
    const victim = visitor()
    const page = await victim.openPage({ id: 'victim' })
    await victim.fetch('/say/mine')
    const strangers = [visitor(), visitor()]
    await strangers[1]?.fetch('/say/theirs')
    for (const stranger of strangers) {
      const closed = await stranger.fetch('/gradio_api/pagehide/victim?n=9', POST)
      assert.equal(closed.status, 404)
      const opened = await stranger.openPage({ id: 'victim', epoch: 9 })
      assert.equal(await opened.close(), 204)
    }
    await until(() => gradio.stats().pages === 1, 'that only the page of the victim is open')
    await clock.advance(4)
    assert.deepEqual(log, ['load', 'load', 'load', 'unload: disconnected', 'unload: disconnected'])
    assert.equal(await page.beat(), 200)
    assert.deepEqual((await json(victim.fetch('/say/still'))).body, ['mine', 'still'])
  })
})
