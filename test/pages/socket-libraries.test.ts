// Sockets of other libraries at the same server, and proxies in between: both libraries' sockets work in either order, and the server has
// the same listeners as without this library.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { it, type TestContext } from 'node:test'
import { koa } from '../../lib/http/koa.ts'
import { gradioState } from '../../lib/index.ts'
import { fakeClock } from '../../lib/testing/index.ts'
import { serve, until } from '../support/http/express.ts'
import { dial, heartbeat } from '../support/pages/handshake.ts'
import {
  type Conversation,
  libraries,
  openWebSocket,
  type Parts,
  type SocketLibrary,
} from '../support/pages/socket-libraries.ts'
import { viteModes } from '../support/pages/vite.ts'

/** An app with sockets of another library, served. */
async function start(t: TestContext, library: SocketLibrary, middleware: Pick<Parts, 'express' | 'koa'>) {
  let closes = 0
  const countClose = () => {
    closes++
  }
  const app = await library({
    ...middleware,
    t,
    countClose,
    accept(socket) {
      socket.on('message', data => socket.send(String(data)))
      socket.on('close', countClose)
      socket.on('error', () => {})
    },
  })
  const served = await serve(t, app.server)
  return {
    ...served,
    open: () => app.open?.(served.origin) ?? openWebSocket(`ws://127.0.0.1:${served.port}/chat`),
    takesOnlyFirst: app.takesOnlyFirst ?? false,
    closed: (count: number) => until(() => closes === count),
    listeners: () => app.server.eventNames().map(name => [String(name), app.server.listenerCount(name)]),
  }
}

type App = Awaited<ReturnType<typeof start>>

async function talk(conversation: Conversation): Promise<void> {
  for (const text of ['one', 'two']) assert.equal(await conversation.say(text), text)
}

/** What a user of the other library does. `beside` runs while its socket is open. */
async function converse(
  { origin, open, takesOnlyFirst, closed }: App,
  beside = async () => {},
): Promise<void> {
  // Some libraries find the server through a plain request.
  await (await fetch(origin)).arrayBuffer()
  const first = await open()
  await talk(first)
  await beside()
  await talk(first)
  if (takesOnlyFirst) await assert.rejects(open(), /Unexpected server response: 200/)
  else {
    const second = await open()
    await talk(second)
    second.close()
    await closed(1)
    await talk(first)
  }
  first.close()
  await closed(takesOnlyFirst ? 1 : 2)
}

/** An app with an instance, in which a page can be opened. */
async function startWithOurs(t: TestContext, library: SocketLibrary) {
  const clock = fakeClock()
  const gradio = gradioState({ clock })
  t.after(() => gradio.close({ timeout: 0 }))
  const app = await start(t, library, { express: gradio, koa: koa(gradio) })
  const openPage = async (id: string) => {
    const { status, socket } = await dial(t, app, id, await heartbeat(app.visitor(), id))
    assert.equal(status, 101)
    const works = async () => {
      const [pong, ping] = [once(socket, 'pong'), once(socket, 'ping')]
      socket.ping()
      await clock.advance(15)
      await Promise.all([pong, ping])
    }
    await works()
    return { works, close: () => socket.close() }
  }
  return { app, gradio, openPage }
}

for (const [name, library] of Object.entries({ ...libraries, ...viteModes })) {
  it(`${name}: its sockets and the library's work side by side`, async t => {
    const control = await start(t, library, {
      express: (_req, _res, next) => next(),
      koa: (_ctx, next) => next(),
    })
    await converse(control)

    const { app, gradio, openPage } = await startWithOurs(t, library)
    await converse(app, async () => void (await openPage('second')))
    const page = await openPage('third')
    assert.equal(gradio.stats().pages, 2)
    page.close()
    await until(() => gradio.stats().pages === 1)
    assert.deepEqual(app.listeners(), control.listeners())

    const oursFirst = await startWithOurs(t, library)
    const { works, close } = await oursFirst.openPage('first')
    await converse(oursFirst.app, works)
    await works()
    assert.equal(oursFirst.gradio.stats().pages, 1)
    close()
    await until(() => oursFirst.gradio.stats().pages === 0)
    assert.deepEqual(oursFirst.app.listeners(), control.listeners())
  })
}
