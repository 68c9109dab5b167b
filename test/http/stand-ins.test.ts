// Libraries that pass the request of a WebSocket through the app's middleware, with a stand-in for its response or with none.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import { createRequire } from 'node:module'
import { it, type TestContext } from 'node:test'
import type { Express } from 'express'
import expressWs from 'express-ws'
import Koa, { type Middleware } from 'koa'
import { WebSocket } from 'ws'
import { koa } from '../../lib/http/koa.ts'
import { type GradioState, gradioState } from '../../lib/index.ts'
import { fakeClock, type Visitor } from '../../lib/testing/index.ts'
import { forEachExpress, idle, serve } from '../support/http/express.ts'
import { closeNow } from '../support/sessions/close-now.ts'

function instance(t: TestContext) {
  const clock = fakeClock()
  const gradio = gradioState({ clock, gracePeriod: 60 })
  t.after(() => closeNow(gradio, clock))
  const log: string[] = []
  gradio.unload(({ reason }) => log.push(`unload ${reason}`))
  gradio.ended(({ reason }) => log.push(`ended ${reason}`))
  return { clock, gradio, log }
}

function dial(t: TestContext, port: number, user: Visitor): WebSocket {
  const cookie = [...user.cookies].map(pair => pair.join('=')).join('; ')
  const socket = new WebSocket(`ws://127.0.0.1:${port}/chat`, { headers: { cookie } })
  t.after(() => socket.terminate())
  return socket
}

/** The user's session continues while the WebSocket is open, and ends afterwards. */
async function assertFollows(
  t: TestContext,
  { port, visitor }: { port: number; visitor(): Visitor },
  { clock, gradio, log }: ReturnType<typeof instance>,
): Promise<void> {
  const user = visitor()
  const id = await (await user.fetch('/id')).text()
  const socket = dial(t, port, user)
  const [said] = await once(socket, 'message')
  assert.equal(String(said), id)
  await clock.advance(120)
  assert.deepEqual([log, gradio.stats().open], [[], 1])
  socket.close()
  await idle(gradio)
  await clock.advance(60)
  assert.deepEqual(log, ['unload disconnected', 'ended disconnected'])
}

forEachExpress((_name, express) => {
  it('express-ws', async t => {
    const parts = instance(t)
    const app: Express = express()
    const server = createServer(app)
    const { app: withSockets } = expressWs(app as never, server)
    app.use(parts.gradio)
    app.get('/id', (req, res) => res.send(req.gradioState.id))
    withSockets.ws('/chat', (socket, req) => socket.send(req.gradioState.id))
    await assertFollows(t, await serve(t, server), parts)
  })
})

// Its types turn every context of Koa into one with a WebSocket.
const websockify = createRequire(import.meta.url)('koa-websocket') as (app: Koa) => Koa & {
  readonly ws: { use(middleware: Middleware): void; listen(options: { server: Server }): void }
}

/** An app whose WebSockets send the id of their user's session, or an error. */
async function koaChat(t: TestContext, gradio: GradioState) {
  const app = websockify(new Koa())
  app.use(koa(gradio))
  app.use(ctx => {
    ctx.body = ctx.gradioState.id
  })
  app.ws.use(koa(gradio))
  app.ws.use(ctx => {
    const socket: WebSocket = ctx.websocket
    try {
      socket.send(ctx.gradioState.id)
    } catch (error) {
      socket.send((error as { code: string }).code)
    }
  })
  const answer = app.callback()
  const server = createServer((req, res) => void answer(req, res))
  app.ws.listen({ server })
  return serve(t, server)
}

it('koa-websocket', async t => {
  const parts = instance(t)
  await assertFollows(t, await koaChat(t, parts.gradio), parts)
})

it('koa-websocket: an unknown user gets an error, since no cookie can be set any more', async t => {
  const { gradio } = instance(t)
  const { port, visitor } = await koaChat(t, gradio)
  const [said] = await once(dial(t, port, visitor()), 'message')
  assert.deepEqual([String(said), gradio.stats().sessions], ['HEADERS_SENT', 0])
})
