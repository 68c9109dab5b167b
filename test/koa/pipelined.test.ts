// Requests that wait for their turn on one connection, as in http/pipelined.test.ts.

import assert from 'node:assert/strict'
import { it } from 'node:test'
import { idle, until } from '../support/http/express.ts'
import { forEachKoa, get, koaSite, set } from '../support/http/koa.ts'
import { inStore, noSession } from '../support/http/koa-sessions.ts'
import { pipelined } from '../support/http/pipelined.ts'

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
})
