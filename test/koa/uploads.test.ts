import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { createRequire } from 'node:module'
import { connect } from 'node:net'
import { basename } from 'node:path'
import { it, type TestContext } from 'node:test'
import type { Middleware } from 'koa'
import type { Options } from 'multer'
import type { CachedFile, GradioState, GradioStateOptions } from '../../lib/index.ts'
import { assertNothingLeft, filesBelow, openBelow, scratch } from '../support/files/disk.ts'
import { pausing } from '../support/files/failing-calls.ts'
import { emptyFiles, sendParts, texts, watchFiles } from '../support/files/many-parts.ts'
import { upload } from '../support/files/multipart.ts'
import { until } from '../support/http/express.ts'
import { forEachKoa, get, type KoaModule, koaSite, set } from '../support/http/koa.ts'
import { inCookie, inStore, type KoaSessionSetup, noSession } from '../support/http/koa-sessions.ts'

// It has no types of its own.
const koaMulter = createRequire(import.meta.url)('@koa/multer') as (options: Options) => {
  array(field: string): Middleware
}

/** As an app can call any middleware of Connect. */
const byConnect =
  (gradio: GradioState): Middleware =>
  async (ctx, next) => {
    const receive = gradio.upload.array('files') as unknown as ConnectMiddleware
    await new Promise<void>((resolve, reject) => {
      receive(ctx.req, ctx.res, error => (error ? reject(error) : resolve()))
    })
    await next()
  }

/** How an app accepts uploads, by path. */
const WAYS: Record<string, (gradio: GradioState) => Middleware> = {
  // Browsers send names in UTF-8, which multer decodes as Latin-1 by default.
  '/koa-multer': ({ storage }) =>
    koaMulter({ storage, limits: { fields: 100, fieldSize: 65_536 }, defParamCharset: 'utf8' }).array(
      'files',
    ),
  '/gradio-upload': byConnect,
}

const SESSION_KINDS: Record<string, () => KoaSessionSetup> = {
  'an external store': inStore,
  'the cookie': inCookie,
  'the own cookie': () => noSession,
}

async function app(
  t: TestContext,
  Koa: KoaModule,
  koaSession: KoaSessionSetup,
  options: GradioStateOptions = {},
) {
  const cacheDir = scratch(t)
  const answer: Middleware = ctx => {
    ctx.body = (ctx.req as { files?: unknown }).files ?? (ctx.request as { files?: unknown }).files
  }
  const made = await koaSite(t, Koa, {
    koaSession,
    options: { cacheDir, uploadRoute: true, ...options },
    routes: gradio =>
      Object.fromEntries(
        Object.entries(WAYS).map(([path, way]) => [
          `POST ${path}`,
          (ctx, next) => way(gradio)(ctx, async () => void (await answer(ctx, next))),
        ]),
      ),
  })
  return { ...made, cacheDir }
}

const PATHS = [...Object.keys(WAYS), '/gradio_api/upload']

forEachKoa(Koa => {
  for (const [name, koaSession] of Object.entries(SESSION_KINDS)) {
    for (const path of PATHS) {
      it(`files are in the directory of their user, and are served only to that user, ${path} with ${name}`, async t => {
        const { gradio, visitor, cacheDir, failures, settled } = await app(t, Koa, koaSession())
        const [user, other] = [visitor(), visitor()]
        await set(other, 'theirs')
        const files = [
          { name: 'a b.txt', bytes: 'first' },
          { name: '日本.png', bytes: 'second' },
        ]
        const { status, body } = await upload<CachedFile[]>(user, files, path)
        assert.equal(status, 200)
        const { id } = await get(user)
        for (const [at, { sha256, url, size }] of body.entries()) {
          const { name, bytes } = files[at]!
          assert.equal(sha256, createHash('sha256').update(bytes).digest('hex'))
          assert.equal(url, `/gradio_api/file/${sha256}/${encodeURIComponent(name)}`)
          assert.equal(size, bytes.length)
          const own = await user.fetch(url)
          assert.deepEqual([own.status, await own.text()], [200, bytes])
          for (const foreign of [other, visitor()]) assert.equal((await foreign.fetch(url)).status, 404)
        }
        const kept = (await gradio.session(id!)?.files()) ?? []
        assert.deepEqual(kept.map(file => file.url).sort(), body.map(file => file.url).sort())
        for (const file of kept) assert.ok(file.path.includes(`/${id}/`))
        assert.deepEqual(
          filesBelow(cacheDir)
            .map(path => basename(path))
            .sort(),
          files.map(file => file.name).sort(),
        )
        await settled()
        assert.deepEqual([gradio.stats().sessions, failures], [2, []])
      })
    }
  }

  it('a file is served as by Express: ranges, and 304 if the browser has it', async t => {
    const { visitor } = await app(t, Koa, noSession)
    const user = visitor()
    const { body } = await upload<CachedFile[]>(user, [{ name: 'a.txt', bytes: '0123456789' }], PATHS[0])
    const { url } = body[0]!
    const whole = await user.fetch(url)
    assert.equal(whole.headers.get('content-type'), 'text/plain; charset=utf-8')
    assert.equal(whole.headers.get('x-content-type-options'), 'nosniff')
    const part = await user.fetch(url, { headers: { range: 'bytes=2-4' } })
    assert.deepEqual([part.status, await part.text()], [206, '234'])
    const none = await user.fetch(url, { headers: { range: 'bytes=20-' } })
    assert.equal(none.status, 416)
    const tag = whole.headers.get('etag') as string
    const again = await user.fetch(url, { headers: { 'if-none-match': tag, 'cache-control': 'max-age=0' } })
    assert.equal(again.status, 304)
  })

  const limits: Record<string, [GradioStateOptions, number, string]> = {
    'a file over maxFileSize': [{ maxFileSize: 10_000 }, 413, 'FILE_TOO_LARGE'],
    'files over maxSessionBytes': [{ maxSessionBytes: 10_000 }, 413, 'SESSION_FULL'],
    'files over maxCacheBytes': [{ maxCacheBytes: 10_000 }, 507, 'CACHE_FULL'],
  }
  for (const [name, [options, status, code]] of Object.entries(limits)) {
    for (const path of PATHS) {
      it(`${name}: ${status}, and nothing of the request is kept, ${path}`, async t => {
        const { gradio, visitor, cacheDir, failures, settled } = await app(t, Koa, inStore(), options)
        const form = new FormData()
        form.append('files', new Blob(['small']), 'small.txt')
        form.append('files', new Blob([new Uint8Array(2_000_000)]), 'large.bin')
        const user = visitor()
        const answer = await user.fetch(path, { method: 'POST', body: form })
        assert.equal(answer.status, status)
        const text = await answer.text()
        const isRoute = path.startsWith('/gradio_api')
        // Koa explains only errors that the request has caused.
        assert.match(
          text,
          isRoute || status < 500 ? /Expected at most 10000 bytes/ : /^Insufficient Storage$/,
        )
        await settled()
        // The route itself responds with JSON.
        if (isRoute) assert.deepEqual([JSON.parse(text).error.code, failures], [code, []])
        else assert.deepEqual([failures.length, failures[0]?.code], [1, code])
        await nothingIsLeft(gradio, cacheDir)
        assert.equal((await upload(user, [{ name: 'after.txt', bytes: 'x' }], path)).status, 200)
      })
    }
  }

  for (const path of PATHS) {
    it(`300 empty files where 100 are allowed, and 20 texts of 1 MB are rejected, and nothing is left of them, ${path}`, async t => {
      const { gradio, visitor, cacheDir, settled } = await app(t, Koa, inStore(), { maxSessionFiles: 100 })
      const user = visitor()
      for (const parts of [emptyFiles(300), texts(20, 1_000_000)]) {
        const files = watchFiles(cacheDir, 200)
        const answer = await sendParts(user, path, parts)
        assert.ok([400, 413, 500].includes(answer.status), `${answer.status}`)
        assert.match(await answer.text(), /Too many files|maxSessionFiles|Field value too long|Internal/)
        await settled()
        files.assertFew()
        await nothingIsLeft(gradio, cacheDir)
      }
      assert.equal((await upload(user, [{ name: 'after.txt', bytes: 'x' }], path)).status, 200)
    })

    it(`a browser that aborts leaves nothing, ${path}`, async t => {
      const { gradio, port, cacheDir, settled, failures } = await app(t, Koa, inStore())
      const socket = connect(port, '127.0.0.1')
      socket.on('error', () => {})
      socket.write(
        `POST ${path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9000000\r\n` +
          'Content-Type: multipart/form-data; boundary=x\r\n\r\n--x\r\n' +
          'Content-Disposition: form-data; name="files"; filename="whole.txt"\r\n\r\nwhole\r\n--x\r\n' +
          'Content-Disposition: form-data; name="files"; filename="half.bin"\r\n\r\n',
      )
      socket.write(Buffer.alloc(1_000_000))
      await until(() => gradio.stats().files === 1, 'that the first file is stored')
      await until(() => filesBelow(cacheDir).length === 2, 'that the second is on its way')
      socket.destroy()
      await settled()
      await until(() => gradio.stats().files === 0, 'that the first file is taken back')
      await until(() => gradio.stats().open === 0, 'that nobody is here')
      await nothingIsLeft(gradio, cacheDir)
      if (path.startsWith('/gradio_api')) {
        assert.deepEqual(
          failures.filter(({ code }) => !/^(ECONNRESET|HPE_)/.test(code)),
          [],
        )
      }
    })
  }

  it('a browser that disconnects while its file is looked up leaves no middleware waiting', async t => {
    const { visitor, passed, settled, cacheDir } = await app(t, Koa, noSession)
    const user = visitor()
    const { body } = await upload<CachedFile[]>(user, [{ name: 'a.txt', bytes: 'a' }], PATHS[0])
    // A disk that doesn't respond.
    const { reached, resume } = pausing(t, 'open', 'a.txt')
    const aborting = new AbortController()
    const asked = user.fetch(body[0]!.url, { signal: aborting.signal })
    await reached
    assert.equal(passed.begun, passed.settled + 1)
    aborting.abort()
    await assert.rejects(asked)
    await settled()
    resume()
    await until(() => openBelow(cacheDir).length === 0, 'that the file is closed again')
  })

  it('the end of a session removes its files', async t => {
    const { visitor, cacheDir, gradio } = await app(t, Koa, inStore())
    const user = visitor()
    const { body } = await upload<CachedFile[]>(user, [{ name: 'a.txt', bytes: 'a' }], PATHS[0])
    await user.fetch('/logout', { method: 'POST' })
    assert.equal((await user.fetch(body[0]!.url)).status, 404)
    await nothingIsLeft(gradio, cacheDir)
  })
})

type ConnectMiddleware = (req: object, res: object, next: (error?: unknown) => void) => void

/** Files are moved to the trash first, and then deleted. */
async function nothingIsLeft(gradio: GradioState, cacheDir: string): Promise<void> {
  const isOver = () => filesBelow(cacheDir).length === 0 && gradio.stats().fileBytes === 0
  await until(isOver, 'that no file is left')
  assertNothingLeft(gradio, cacheDir)
}
