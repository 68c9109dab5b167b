// Requests that wait for their turn on one connection, as in http/pipelined.test.ts.

import assert from 'node:assert/strict'
import type { ServerResponse } from 'node:http'
import { it } from 'node:test'
import { idle, until } from '../support/http/express.ts'
import { forEachKoa, get, koaSite, set } from '../support/http/koa.ts'
import { inStore, noSession } from '../support/http/koa-sessions.ts'
import { bytesOf, pipelined } from '../support/http/pipelined.ts'

forEachKoa(Koa => {
  for (const [name, koaSession] of Object.entries({
    'no session': () => noSession,
    'koa-session': () => inStore(),
  })) {
    it(`their entries end with the connection, and middleware runs to its end, with ${name}`, async t => {
      let begun = 0
      const { gradio, clock, visitor, port, log, settled } = await koaSite(t, Koa, {
        koaSession: koaSession(),
        options: { maxSessions: 2, gracePeriod: 60 },
        before: [
          (_ctx, next) => {
            begun++
            return next()
          },
        ],
        routes: {
          'GET /wait': ctx => {
            void ctx.gradioState.id
            ctx.respond = false
          },
          'GET /file': async ctx => {
            const { url } = await ctx.gradioState.saveFile('text', { name: 'a.txt' })
            ctx.body = url
          },
        },
      })
      const users = [visitor(), visitor()]
      for (const user of users) {
        await set(user, 'mine')
        const url = await (await user.fetch('/file')).text()
        begun = 0
        const socket = await pipelined(t, port, user, [
          'POST /gradio_api/heartbeat/page?n=1',
          'GET /wait',
          'POST /gradio_api/heartbeat/page?n=1',
          `GET ${url}`,
          'GET /get',
        ])
        await until(() => begun >= 5)
        socket.destroy()
      }
      await settled()
      await clock.advance(95)
      await idle(gradio)
      await clock.advance(60)
      const ends = log.filter(line => line.startsWith('ended disconnected'))
      assert.deepEqual([ends.length, gradio.stats().sessions], [2, 0])
      const other = visitor()
      await set(other, 'other')
      assert.equal((await get(other)).value, 'other')
    })
  }

  it('a connection that is not read is closed after two minutes, so that its sessions end', async t => {
    let large: ServerResponse | undefined
    const { gradio, clock, visitor, port, sockets, log } = await koaSite(t, Koa, {
      options: { gracePeriod: 60 },
      routes: {
        'GET /stream': ctx => {
          void ctx.gradioState.id
          ctx.respond = false
          ctx.res.flushHeaders()
        },
        'GET /large': ctx => {
          ctx.body = 'x'.repeat(70_000)
          large = ctx.res
        },
      },
    })
    const user = visitor()
    await set(user, 'mine')
    const client = await pipelined(t, port, user, ['GET /stream', 'GET /large'])
    await until(() => large?.writableEnded === true)
    client.write(bytesOf(user, ['GET /nothing']))
    await until(() => [...sockets].some(socket => socket.isPaused()))
    client.destroy()
    await clock.advance(119)
    assert.equal(gradio.stats().open, 1)
    await clock.advance(1)
    await idle(gradio)
    await clock.advance(60)
    assert.deepEqual(log.slice(-1), ['ended disconnected @180'])
  })
})
