// Uploads over HTTP/2, where a client can have any number on one connection, and no timeout of Node.js ends them.

import assert from 'node:assert/strict'
import { it, type TestContext } from 'node:test'
import Koa, { type Middleware } from 'koa'
import type { GradioState, GradioStateOptions } from '../../lib/index.ts'
import { filesBelow, scratch } from '../support/files/disk.ts'
import { idle, until } from '../support/http/express.ts'
import { beginUpload, http2Client } from '../support/http/http2-uploads.ts'
import { forEachKoa, get, type KoaModule, koaSite } from '../support/http/koa.ts'

/** As an app can call any middleware of Connect. */
const uploadOfApp =
  ({ upload }: GradioState): Middleware =>
  async ctx => {
    const receive = upload.array('files') as unknown as ConnectMiddleware
    await new Promise<void>((resolve, reject) => {
      receive(ctx.req, ctx.res, error => (error ? reject(error) : resolve()))
    })
    ctx.body = 'received'
  }

type ConnectMiddleware = (req: unknown, res: unknown, next: (error?: unknown) => void) => void

const ROUTES = ['/gradio_api/upload', '/upload']

async function attacked(t: TestContext, Koa: KoaModule, options: GradioStateOptions = {}) {
  const cacheDir = scratch(t)
  const made = await koaSite(t, Koa, {
    options: { cacheDir, uploadRoute: true, gracePeriod: 60, ...options },
    routes: gradio => ({
      'POST /upload': uploadOfApp(gradio),
      'POST /ignored': ctx => {
        ctx.body = ctx.gradioState.id
        // As a body parser does when it finds the body to be too long.
        ctx.req.resume()
      },
    }),
  })
  const client = await http2Client(t, made.app)
  const user = made.visitor()
  await get(user)
  await idle(made.gradio)
  return { ...made, cacheDir, client, user }
}

forEachKoa(Koa => {
  for (const path of ROUTES) {
    it(`of which nothing arrives for two minutes end, and then their sessions: ${path}`, async t => {
      const { gradio, clock, client, user, cacheDir, reports } = await attacked(t, Koa)
      const begun = beginUpload(client, user, { path })
      await until(() => gradio.stats().fileBytes > 0)
      await clock.advance(239)
      assert.deepEqual([begun.isClosed, gradio.stats().open], [false, 1])
      await clock.advance(1)
      await until(() => begun.isClosed)
      await idle(gradio)
      await clock.advance(60)
      await until(() => gradio.stats().sessions === 0 && gradio.stats().fileBytes === 0)
      assert.deepEqual([filesBelow(cacheDir), reports], [[], []])
    })

    it(`that keep arriving slowly are stored: ${path}`, async t => {
      const { gradio, clock, client, user } = await attacked(t, Koa)
      const slow = beginUpload(client, user, { path })
      await until(() => gradio.stats().fileBytes > 0)
      for (let received = 4096, i = 0; i < 10; i++, received += 5000) {
        await clock.advance(119)
        await slow.send(5000)
        await until(() => gradio.stats().fileBytes >= received)
      }
      await slow.finish()
      assert.deepEqual([slow.status, gradio.stats().files], [200, 1])
    })

    it(`that are refused are answered and reset before their bodies have ended: ${path}`, async t => {
      const { gradio, client, user, cacheDir } = await attacked(t, Koa, { maxFileSize: 10_000 })
      const large = beginUpload(client, user, { path })
      await large.send(20_000)
      await until(() => large.isClosed)
      assert.deepEqual([large.status, large.stream.rstCode], [413, 0])
      assert.match(large.text, /Expected at most 10000 bytes/)
      await idle(gradio)
      assert.deepEqual([filesBelow(cacheDir), gradio.stats().fileBytes], [[], 0])
    })
  }

  it('a request that was answered keeps nothing open, even if its body is still arriving', async t => {
    const { gradio, client, user } = await attacked(t, Koa)
    const slow = beginUpload(client, user, { path: '/ignored' })
    await until(() => slow.text !== '')
    await idle(gradio)
    assert.equal(slow.isClosed, false)
  })
})

// With one version: a quarter of a thousand uploads take long.
for (const path of ROUTES) {
  it(`are 256 at most for each session: ${path}`, async t => {
    const { gradio, client, user, visitor } = await attacked(t, Koa)
    const uploads = Array.from({ length: 256 }, () => beginUpload(client, user, { path, size: 100 }))
    await until(() => gradio.stats().fileBytes === 256 * 4096)
    const tooMany = beginUpload(client, user, { path })
    await until(() => tooMany.isClosed)
    assert.deepEqual([tooMany.status, tooMany.stream.rstCode], [429, 0])
    const other = beginUpload(client, visitor(), { path })
    await until(() => gradio.stats().fileBytes === 257 * 4096)
    uploads[0]?.stream.destroy()
    await until(() => gradio.stats().fileBytes === 256 * 4096)
    const next = beginUpload(client, user, { path })
    await until(() => gradio.stats().fileBytes === 257 * 4096)
    for (const upload of [other, next, ...uploads.slice(1)]) {
      await upload.finish()
      assert.equal(upload.status, 200)
    }
    assert.deepEqual([gradio.stats().files, gradio.stats().open], [257, 0])
  })
}
