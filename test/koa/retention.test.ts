import assert from 'node:assert/strict'
import { it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import v8 from 'node:v8'
import vm from 'node:vm'
import { koa } from '../../lib/http/koa.ts'
import { gradioState } from '../../lib/index.ts'
import { forEachKoa, serveKoa } from '../support/http/koa.ts'
import { KOA_SESSIONS } from '../support/http/koa-sessions.ts'

v8.setFlagsFromString('--expose-gc')
const collectGarbage = vm.runInNewContext('gc') as () => void

const REQUESTS = 20

forEachKoa(Koa => {
  for (const [name, makeKoaSession] of Object.entries(KOA_SESSIONS)) {
    it(`a session keeps no reference to its requests, with ${name}`, async t => {
      const koaSession = makeKoaSession()
      const gradio = gradioState(koaSession.options)
      t.after(() => gradio.close({ timeout: 0 }))
      const contexts: WeakRef<object>[] = []
      const app = new Koa()
      app.keys = ['a key']
      koaSession.use(app)
      app.use(koa(gradio)).use(ctx => {
        contexts.push(new WeakRef(ctx))
        ctx.body = ctx.gradioState.id
      })
      const { visitor } = await serveKoa(t, app)
      const headers = { connection: 'close' }
      for (let made = 0; made < REQUESTS; made++) await (await visitor().fetch('/', { headers })).text()
      assert.equal(gradio.stats().sessions, REQUESTS)
      let left = REQUESTS
      for (let tries = 0; left > 0 && tries < 50; tries++) {
        await sleep(10)
        collectGarbage()
        left = contexts.filter(context => context.deref() !== undefined).length
      }
      assert.equal(left, 0)
    })
  }
})
