// Requests whose body stops arriving, over HTTP/1.1. For HTTP/2 see test/koa/http2-uploads.test.ts.

import assert from 'node:assert/strict'
import { it, type TestContext } from 'node:test'
import type { RequestHandler } from 'express'
import { slowUpload } from '../support/files/multipart.ts'
import { type ExpressModule, forEachExpress, idle, site, until } from '../support/http/express.ts'

forEachExpress((_name, express) => {
  /** A request whose body has begun, at a route that reads it in the given way. */
  async function begun(t: TestContext, read: (req: Parameters<RequestHandler>[0]) => unknown) {
    let received = 0
    const made = await site(t, express as ExpressModule, {
      session: false,
      routes(app) {
        app.get('/id', (req, res) => res.send(req.gradioState.id))
        app.post('/body', (req, res) => {
          void req.gradioState.id
          const push = req.push.bind(req)
          req.push = (chunk, ...rest) => {
            received += chunk?.length ?? 0
            return push(chunk, ...rest)
          }
          Promise.resolve(read(req)).then(
            () => res.end(),
            () => {},
          )
        })
      },
    })
    const user = made.visitor()
    await user.fetch('/id')
    await idle(made.gradio)
    const slow = await slowUpload(t, made.port, user, '/body')
    let isClosed = false
    slow.socket.once('close', () => {
      isClosed = true
    })
    await slow.send('begun')
    await until(() => received > 0 || read === hold)
    return { ...made, ...slow, isClosed: () => isClosed, received: () => received }
  }

  const hold = () => new Promise(() => {})

  const READERS: Record<string, (req: Parameters<RequestHandler>[0]) => unknown> = {
    'an event listener': req => new Promise(resolve => req.on('data', () => {}).on('end', resolve)),
    async iteration(req) {
      for await (const _chunk of req);
    },
  }
  for (const [name, read] of Object.entries(READERS)) {
    it(`end after two minutes without a byte, and their sessions close: ${name}`, async t => {
      const { gradio, clock, isClosed } = await begun(t, read)
      await clock.advance(239)
      assert.deepEqual([gradio.stats().open, isClosed()], [1, false])
      await clock.advance(1)
      await until(isClosed)
      await idle(gradio)
    })

    it(`continue while bytes arrive: ${name}`, async t => {
      const { gradio, clock, send, received, socket } = await begun(t, read)
      for (let i = 0; i < 5; i++) {
        const before = received()
        await clock.advance(119)
        await send('more')
        await until(() => received() > before)
      }
      socket.write('0\r\n\r\n')
      await until(() => socket.destroyed)
      await idle(gradio)
    })
  }

  const NOT_WAITING: Record<string, (req: Parameters<RequestHandler>[0]) => unknown> = {
    "that the app doesn't read": hold,
    'that the app has paused': req => {
      req.on('data', () => req.pause())
      return hold()
    },
    async 'that the app reads more slowly than it arrives'(req) {
      for await (const _chunk of req) await hold()
    },
  }
  for (const [name, read] of Object.entries(NOT_WAITING)) {
    it(`a body ${name} doesn't end its request`, async t => {
      const { gradio, clock, send, isClosed } = await begun(t, read)
      await send('more')
      await clock.advance(1000)
      await send('even more')
      assert.deepEqual([gradio.stats().open, isClosed()], [1, false])
    })
  }
})
