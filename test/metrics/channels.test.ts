// The messages of the channels of node:diagnostics_channel.

import assert from 'node:assert/strict'
import { existsSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import express from 'express'
import { scratch } from '../support/files/disk.ts'
import { site, until } from '../support/http/express.ts'
import { LIFETIME } from '../support/http/session-app.ts'
import { published, publishedBy } from '../support/sessions/channels.ts'
import { frameworkHarness } from '../support/sessions/framework-harness.ts'
import { deferred, harness } from '../support/sessions/harness.ts'

describe('the channels of sessions', () => {
  it('publish a begin, each load and unload, and the end', async t => {
    const { gradio, clock, user } = harness(t)
    const take = publishedBy(t, gradio)
    await user().request(state => state.set('cart', 1))
    assert.deepEqual(take(), ['session:begin', 'session:load'])
    await clock.advance(2)
    assert.deepEqual(take(), ['session:unload disconnected'])
    await user().request()
    assert.deepEqual(take(), ['session:load'])
    await clock.advance('2h')
    assert.deepEqual(take(), [
      'session:unload disconnected',
      'session:end disconnected',
      'value:delete cart disconnected',
    ])
  })

  it('publish nothing for a request that does not use the state', async t => {
    const { gradio, user } = harness(t)
    const take = publishedBy(t, gradio)
    await user().request()
    assert.deepEqual(take(), [])
  })

  for (const hooks of ['without hooks', 'with hooks'])
    it(`publish the unload of a session that ends while it is loaded, ${hooks}`, async t => {
      const { gradio, user } = harness(t)
      if (hooks === 'with hooks') {
        gradio.unload(() => {})
        gradio.ended(() => {})
      }
      const take = publishedBy(t, gradio)
      await user().request(state => state.set('cart', 1))
      take()
      await user().request(state => state.end())
      const lines = take().filter(line => !line.startsWith('hook'))
      assert.deepEqual(lines, ['session:end ended', 'session:unload ended', 'value:delete cart ended'])
    })

  it('publish an unload once if the session ends while its hooks run', async t => {
    const { gradio, clock, user } = harness(t)
    const hook = deferred()
    gradio.unload(() => hook.promise)
    const take = publishedBy(t, gradio)
    const session = await user().session()
    await clock.advance(2)
    const ended = gradio.endSession(session.id)
    hook.resolve()
    await ended
    assert.deepEqual(take('session:unload'), ['session:unload disconnected'])
  })

  it('publish the reasons of evictions and of the shutdown', async t => {
    const { gradio, user } = harness(t, { maxSessions: 1 })
    const take = publishedBy(t, gradio)
    await user('first').session()
    await user('second').session()
    assert.deepEqual(take('session:end'), ['session:end evicted'])
    await gradio.close()
    assert.deepEqual(take('session:end'), ['session:end shutdown'])
  })

  it('publish that the framework session has expired, and a logout', async t => {
    const { gradio, clock, user } = frameworkHarness(t)
    const take = publishedBy(t, gradio)
    await user().connectedSession()
    await clock.advance(LIFETIME + 1)
    assert.deepEqual(take('session'), [
      'session:begin',
      'session:load',
      'session:expire',
      'session:unload expired',
    ])
    const other = user()
    await other.session()
    await other.request(({ session }) => new Promise(done => session.destroy(done)))
    assert.deepEqual(take('session:end'), ['session:end destroyed'])
  })
})

describe('the channel of deleted values', () => {
  it('publishes the reason, with and without a callback', async t => {
    const { gradio, clock, user } = harness(t)
    const take = publishedBy(t, gradio)
    const deleteCallback = () => {}
    await user().request(async state => {
      state.set('kept', 1)
      state.set('kept', 2)
      state.set('plain', 1, { timeToLive: 10 })
      state.set('cleaned', 1, { timeToLive: 20, deleteCallback })
      state.set('replaced', 1, { deleteReplaced: true, deleteCallback })
      state.set('replaced', 2, { deleteCallback })
      await state.delete('kept')
      await state.delete('kept')
    })
    assert.deepEqual(take('value'), ['value:delete replaced replaced', 'value:delete kept deleted'])
    await clock.advance(10)
    assert.deepEqual(take('value'), ['value:delete plain timeToLive'])
    await clock.advance(10)
    assert.deepEqual(take('value'), ['value:delete cleaned timeToLive'])
    await user().request(state => state.end())
    assert.deepEqual(take('value'), ['value:delete replaced ended'])
  })

  it('publishes shared values', async t => {
    const { gradio, clock, user } = harness(t)
    const take = publishedBy(t, gradio)
    const cart = gradio.sharedState<number>('cart', { timeToLive: 10 })
    const paid = gradio.sharedState<number>('paid', { deleteReplaced: true, deleteCallback: () => {} })
    await user().request(async state => {
      await cart.set(state, 1)
      await paid.set(state, 1)
      await paid.set(state, 2)
      await paid.delete(state)
      await paid.set(state, 3)
    })
    assert.equal(gradio.stats().values, 2)
    assert.deepEqual(take('value'), ['value:delete paid replaced', 'value:delete paid deleted'])
    await clock.advance(10)
    assert.deepEqual(take('value'), ['value:delete cart timeToLive'])
    await user().request(state => state.end())
    assert.deepEqual(take('value'), ['value:delete paid ended'])
    assert.equal(gradio.stats().values, 0)
  })
})

describe('the channels of pages', () => {
  it('publish each page that connects and leaves, and each socket of the app', async t => {
    const messages = published(t)
    const { gradio, app, visitor } = await site(t, express, { options: { unloadDelay: 0 } })
    app.get('/stream', (req, res) => {
      gradio.track(req, res)
      res.write('begun')
    })
    const take = () => messages.splice(0).filter(({ channel }) => channel.startsWith('gradio-state:page'))
    const user = visitor()
    const page = await user.openPage()
    const [opened, ...others] = take()
    assert.deepEqual([opened?.channel, opened?.message.page, others], ['gradio-state:page:open', page.id, []])
    assert.equal(opened?.message.session, gradio.sessions()[0]?.id)
    await page.beat()
    assert.deepEqual(take(), [])
    await page.close()
    const [closed] = take()
    assert.deepEqual(closed, { channel: 'gradio-state:page:close', message: opened?.message })

    const crashing = await user.openPage({ socket: true })
    await crashing.crash()
    await until(() => gradio.stats().pages === 0)
    assert.deepEqual(
      take().map(({ channel }) => channel),
      ['gradio-state:page:open', 'gradio-state:page:close'],
    )

    const abort = new AbortController()
    await user.fetch('/stream', { signal: abort.signal })
    await until(() => gradio.stats().pages === 1)
    abort.abort()
    await until(() => gradio.stats().pages === 0)
    assert.deepEqual(
      take().map(({ channel, message }) => [channel, message.page]),
      [
        ['gradio-state:page:open', undefined],
        ['gradio-state:page:close', undefined],
      ],
    )
  })
})

describe('the channels of files', () => {
  it('publish each file that is saved, deleted, swept, adopted, removed by the app, and at the end', async t => {
    const cacheDir = scratch(t)
    const { gradio, clock, user } = harness(t, { cacheDir, deleteCache: [60, 300] })
    const take = publishedBy(t, gradio)
    const save = (name: string) => user().request(state => state.saveFile('text', { name }))
    const session = await user().session()
    await save('swept')
    await save('swept')
    assert.deepEqual(take('file'), ['file:save swept 4'])
    assert.ok(existsSync(join(cacheDir, gradio.id)), 'the directory is named as the instance')
    await clock.advance(301)
    const swept: string[] = []
    await until(() => swept.push(...take('file')) > 0)
    assert.deepEqual([swept, gradio.stats().files], [['file:delete swept 4'], 0])
    await session.deleteFile(await save('deleted'))
    assert.deepEqual(take('file'), ['file:save deleted 4', 'file:delete deleted 4'])
    await session.adopt(await save('adopted'), join(scratch(t), 'adopted'))
    assert.deepEqual(take('file'), ['file:save adopted 4', 'file:delete adopted 4'])
    rmSync((await save('removed')).path)
    await session.files()
    assert.deepEqual(take('file'), ['file:save removed 4', 'file:delete removed 4'])
    await save('left')
    await gradio.endSession(session.id)
    assert.deepEqual(take('file'), ['file:save left 4', 'file:delete left 4'])
  })
})

describe('the channels of hooks and errors', () => {
  it('publish the duration and outcome of each call', async t => {
    const { gradio, clock, user, errors } = harness(t, { info: () => Promise.resolve('info') })
    const take = publishedBy(t, gradio)
    gradio.load(() => new Promise<void>(resolve => clock.setTimer(resolve, 3000)))
    gradio.unload(() => new Promise(() => {}))
    gradio.ended(() => Promise.reject(new Error('refused')))
    const deleteCallback = () => {
      throw new Error('thrown')
    }
    await user().request(state => state.set('cart', 1, { deleteCallback }))
    await clock.advance(0)
    assert.deepEqual(take('hook'), ['hook:run info 0 ok'])
    await clock.advance(3)
    assert.deepEqual(take('hook'), ['hook:run load 3 ok'])
    await clock.advance(3600)
    assert.deepEqual(
      take().filter(line => /hook|error/.test(line)),
      [
        'error unload',
        'hook:run unload 5 timeout',
        'error deleteCallback cart',
        'hook:run deleteCallback cart 0 error',
        'error ended',
        'hook:run ended 0 error',
      ],
    )
    assert.equal(errors.splice(0).length, 3)
  })
})

it('contain no token, no cookie and no value', async t => {
  const messages = published(t)
  for (const session of [undefined, false] as const) {
    const { gradio, app, visitor } = await site(t, express, {
      options: { cacheDir: scratch(t) },
      ...(session === false && { session }),
    })
    const secrets = ['the value', 'the content']
    app.get('/', async (req, res) => {
      req.gradioState.set('cart', 'the value', { deleteCallback: () => {} })
      await req.gradioState.saveFile('the content', { name: 'a.txt' })
      res.end(JSON.stringify(req.session ?? {}))
    })
    const user = visitor()
    const { gradioState } = (await (await user.fetch('/')).json()) as { gradioState?: { token: string } }
    if (gradioState !== undefined) secrets.push(gradioState.token)
    await (await user.openPage()).close()
    await gradio.close()
    const cookies = [...user.cookies.values()].map(decodeURIComponent)
    secrets.push(
      ...cookies,
      ...cookies.flatMap(cookie => cookie.split(/[.:]/)).filter(part => part.length > 8),
    )
    assert.ok(secrets.length >= 4, `${secrets}`)
    const text = JSON.stringify(messages.splice(0))
    assert.match(text, /session:begin.*file:delete/)
    for (const secret of secrets) assert.ok(!text.includes(secret), secret)
  }
})

it('name the instance, of several in one process', async t => {
  const [one, other] = [harness(t), harness(t)]
  const [takeOne, takeOther] = [publishedBy(t, one.gradio), publishedBy(t, other.gradio)]
  await one.user().session()
  assert.notEqual(one.gradio.id, other.gradio.id)
  assert.deepEqual(takeOne(), ['session:begin', 'session:load'])
  assert.deepEqual(takeOther(), [])
})
