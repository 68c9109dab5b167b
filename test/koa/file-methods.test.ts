// sendFile() and filesOf() in Koa.

import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { it } from 'node:test'
import type { Middleware } from 'koa'
import type { Options } from 'multer'
import type { UploadedFile } from '../../lib/index.ts'
import { openBelow, scratch } from '../support/files/disk.ts'
import { upload } from '../support/files/multipart.ts'
import { until } from '../support/http/express.ts'
import { forEachKoa, koaSite } from '../support/http/koa.ts'
import { noSession } from '../support/http/koa-sessions.ts'

// It has no types of its own.
const koaMulter = createRequire(import.meta.url)('@koa/multer') as (options: Options) => {
  array(field: string): Middleware
}

forEachKoa(Koa => {
  it('filesOf(ctx.req) returns the files that @koa/multer has received, and sendFile() sends one', async t => {
    const cacheDir = scratch(t)
    const { visitor } = await koaSite(t, Koa, {
      koaSession: noSession,
      options: { cacheDir },
      routes: gradio => ({
        'POST /upload': (ctx, next) =>
          koaMulter({ storage: gradio.storage }).array('files')(ctx, async () => {
            ctx.body = gradio.filesOf(ctx.req)
            await next()
          }),
        'GET /send': async ctx => {
          const files = await ctx.gradioState.files()
          const file = files.find(({ name }) => name === 'a.txt')
          ctx.status = 200
          ctx.respond = false
          await ctx.gradioState.sendFile(file!, ctx.res)
        },
      }),
    })
    const user = visitor()
    const { body } = await upload<UploadedFile[]>(user, [
      { name: 'a.txt', bytes: 'abc' },
      { name: 'b.txt', bytes: 'b' },
    ])
    assert.deepEqual(
      body.map(({ field, name, size }) => [field, name, size]),
      [
        ['files', 'a.txt', 3],
        ['files', 'b.txt', 1],
      ],
    )
    const whole = await user.fetch('/send')
    assert.deepEqual([whole.status, await whole.text()], [200, 'abc'])
    assert.equal(whole.headers.get('etag'), `"${body[0]?.sha256}"`)
    const part = await user.fetch('/send', { headers: { range: 'bytes=1-1' } })
    assert.deepEqual([part.status, await part.text()], [206, 'b'])
    await until(() => openBelow(cacheDir).length === 0)
  })
})
