// Others at the same server: libraries that take their sockets in the app's middleware, a newer instance, another copy.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createRequire } from 'node:module'
import { it, type TestContext } from 'node:test'
import Koa, { type Middleware } from 'koa'
import { WebSocket } from 'ws'
import { koa } from '../../lib/http/koa.ts'
import { type GradioState, gradioState } from '../../lib/index.ts'
import { fakeClock } from '../../lib/testing/index.ts'
import { serve } from '../support/http/express.ts'
import { dial, heartbeat, isHooked } from '../support/pages/handshake.ts'

const require = createRequire(import.meta.url)
const built = require('../../dist/cjs/index.js') as { gradioState: typeof gradioState }
// Its types are those of an ES module, which it isn't.
const easyWs = require('koa-easy-ws') as () => Middleware

async function firstMessage(t: TestContext, port: number): Promise<string> {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/chat`)
  t.after(() => socket.terminate())
  const [data] = await once(socket, 'message')
  return String(data)
}

for (const order of ['before', 'after']) {
  it(`koa-easy-ws, mounted ${order} ours, keeps its sockets, and ours open beside them`, async t => {
    const gradio = gradioState({ clock: fakeClock() })
    t.after(() => gradio.close({ timeout: 0 }))
    const app = new Koa()
    const middleware = [easyWs(), koa(gradio)]
    for (const each of order === 'before' ? middleware : middleware.reverse()) app.use(each)
    app.use(async ctx => {
      const { ws } = ctx as unknown as { ws?: () => Promise<WebSocket> }
      if (ws === undefined) ctx.body = 'plain'
      else (await ws()).send('chat')
    })
    const answer = app.callback()
    const served = await serve(t, (req, res) => void answer(req, res))
    for (let times = 0; times < 2; times++) assert.equal(await firstMessage(t, served.port), 'chat')
    const user = served.visitor()
    const status = async () => (await dial(t, served, 'page', await heartbeat(user, 'page'))).status
    assert.equal(await status(), 101)
    assert.equal(await firstMessage(t, served.port), 'chat')
    assert.equal(await status(), 101)
    assert.equal(gradio.stats().pages, 1)
    assert.equal(await (await user.fetch('/chat')).text(), 'plain')
  })
}

/** A server whose app has the instance that was given last, as with hot reloading. */
async function reloading(t: TestContext) {
  let current: GradioState | undefined
  const served = await serve(t, (req, res) => current?.(req, res, () => res.end()))
  const load = (make: typeof gradioState): GradioState => {
    const gradio = make({ clock: fakeClock() })
    t.after(() => gradio.close({ timeout: 0 }))
    current = gradio
    return gradio
  }
  const open = async (page: string) =>
    (await dial(t, served, page, await heartbeat(served.visitor(), page))).status
  return { served, load, open }
}

for (const [name, make] of Object.entries({
  'the same copy': gradioState,
  'another copy': built.gradioState,
})) {
  it(`a newer instance of ${name} has the pages that it has opened, and an older one keeps its own`, async t => {
    const { served, load, open } = await reloading(t)
    const before = Reflect.ownKeys(served.server).map(String).sort()
    const older = load(gradioState)
    const user = served.visitor()
    const early = await heartbeat(user, 'early')
    const newer = load(make)
    assert.equal(await open('late'), 101)
    assert.deepEqual([older.stats().pages, newer.stats().pages], [1, 1])
    assert.equal((await dial(t, served, 'early', early)).status, 101)
    assert.equal((await dial(t, served, 'early', early)).status, 401)
    await older.close({ timeout: 0 })
    assert.ok(isHooked(served.server))
    assert.equal(await open('later'), 101)
    await newer.close({ timeout: 0 })
    assert.ok(!isHooked(served.server))
    assert.deepEqual(Reflect.ownKeys(served.server).map(String).sort(), before)
  })
}
