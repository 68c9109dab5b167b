// How files are served behind other middleware, and while they are swept.

import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import compression from 'compression'
import type { RequestHandler } from 'express'
import helmet from 'helmet'
import { type CachedFile, gradioState } from '../../lib/index.ts'
import { scratch } from '../support/files/disk.ts'
import { DIGITS, ifNoneMatch, save, saveSite } from '../support/files/save-site.ts'
import { forEachExpress, json, serve, until } from '../support/http/express.ts'
import { RecordingStore } from '../support/stores/recording-store.ts'

forEachExpress((_name, express) => {
  it('Vary and security headers of other middleware are kept', async t => {
    const vary: RequestHandler = (_req, res, next) => {
      res.setHeader('Vary', 'Accept-Language')
      next()
    }
    const { visitor } = await saveSite(t, express, { before: [vary, helmet()] })
    const user = visitor()
    const { url } = await save(user)
    for (const headers of [{}, ifNoneMatch('*')] as Record<string, string>[]) {
      const answer = await user.fetch(url, { headers })
      assert.equal(answer.headers.get('vary'), 'Accept-Language, Cookie')
      assert.equal(answer.headers.get('strict-transport-security')?.includes('max-age'), true)
      assert.match(answer.headers.get('content-security-policy') ?? '', /^default-src 'none'.*; sandbox$/)
      assert.equal(answer.headers.get('x-content-type-options'), 'nosniff')
    }
  })

  it('behind compression, a text is compressed and a range is not', async t => {
    const { visitor } = await saveSite(t, express, { before: [compression({ threshold: 0 })] })
    const user = visitor()
    const text = DIGITS.repeat(1000)
    const { url, sha256 } = await save(user, 'long.txt', text)
    const headers = { 'accept-encoding': 'gzip' }
    const whole = await user.fetch(url, { headers })
    assert.equal(whole.headers.get('content-encoding'), 'gzip')
    assert.equal(whole.headers.get('vary'), 'Cookie, Accept-Encoding')
    assert.equal(await whole.text(), text)
    const part = await user.fetch(url, { headers: { ...headers, range: 'bytes=5-2004' } })
    assert.equal(part.status, 206)
    assert.equal(part.headers.get('content-encoding'), null)
    assert.equal(part.headers.get('content-length'), '2000')
    assert.equal(await part.text(), text.slice(5, 2005))
    const tag = whole.headers.get('etag') ?? ''
    assert.ok(tag.includes(sha256))
    const current = await user.fetch(url, { headers: { ...headers, ...ifNoneMatch(tag) } })
    assert.equal(current.status, 304)
    const picture = await save(user, 'picture.png', text)
    assert.equal((await user.fetch(picture.url, { headers })).headers.get('content-encoding'), null)
  })

  for (const options of [
    {},
    { rolling: true },
    { rolling: true, resave: true },
    { unset: 'destroy' },
  ] as const) {
    it(`serving a file makes express-session neither write nor set a cookie, with ${JSON.stringify(options)}`, async t => {
      const store = new RecordingStore()
      const { visitor } = await saveSite(t, express, { session: { ...options, store } })
      const user = visitor()
      const { url } = await save(user)
      store.writes()
      const answers = [
        await user.fetch(url),
        await user.fetch(url, { method: 'HEAD' }),
        await user.fetch(url, { headers: { range: 'bytes=1-2' } }),
        await user.fetch(url, { headers: { range: 'bytes=99-' } }),
        await user.fetch(url, { headers: ifNoneMatch('*') }),
        await user.fetch(url.replace('digits', 'other')),
      ]
      for (const answer of answers) await answer.arrayBuffer()
      assert.deepEqual(
        answers.map(({ status }) => status),
        [200, 200, 206, 416, 304, 404],
      )
      for (const answer of answers) assert.deepEqual(answer.headers.getSetCookie(), [])
      await sleep(10)
      assert.deepEqual(store.writes(), [])
      assert.equal((await user.fetch(url)).status, 200)
    })
  }

  it('mounted on a sub-path, returned URLs include the path, and work', async t => {
    const cacheDir = scratch(t)
    const inner = express()
    const gradio = gradioState({ cacheDir, path: '/files-and-more' })
    t.after(() => gradio.close())
    inner.use('/shop', gradio)
    inner.post('/shop/save', (req, res, next) => {
      req.gradioState.saveFile(DIGITS, { name: 'a b.txt' }).then(file => res.json(file), next)
    })
    const { visitor } = await serve(t, express().use('/outer', inner))
    const user = visitor()
    const { body } = await json<CachedFile>(user.fetch('/outer/shop/save', { method: 'POST' }))
    assert.equal(body.url, `/outer/shop/files-and-more/file/${body.sha256}/a%20b.txt`)
    assert.equal(await (await user.fetch(body.url)).text(), DIGITS)
    const [session] = gradio.sessions()
    assert.deepEqual(await session?.files(), [body])
  })

  it('a download is completed although the file is due; the next sweep deletes the file', async t => {
    const { gradio, clock, visitor } = await saveSite(t, express, { options: { deleteCache: [10, 60] } })
    const user = visitor()
    const content = Buffer.alloc(20_000_000, DIGITS)
    const { url, path } = await save(user, 'large.bin', content)
    const exists = () => existsSync(path)
    const answer = await user.fetch(url)
    const reader = answer.body?.getReader()
    let received = (await reader?.read())?.value?.length ?? 0
    await clock.advance(120)
    await sleep(50)
    assert.equal(exists(), true, 'while it is being served')
    assert.equal((await user.fetch(url, { method: 'HEAD' })).status, 200)
    for (;;) {
      const { done, value } = (await reader?.read()) ?? { done: true, value: undefined }
      if (done) break
      received += value?.length ?? 0
    }
    assert.equal(received, content.length)
    await clock.advance(20)
    for (let tries = 0; tries < 200 && exists(); tries++) await sleep(10)
    assert.equal(exists(), false, 'after it was served')
    assert.equal((await user.fetch(url)).status, 404)
    assert.deepEqual(await gradio.sessions()[0]?.files(), [])
  })

  it('a download that the browser aborts releases the file', async t => {
    const { clock, visitor, server } = await saveSite(t, express, { options: { deleteCache: [10, 60] } })
    const user = visitor()
    const { url } = await save(user, 'large.bin', Buffer.alloc(20_000_000))
    const aborting = new AbortController()
    let closed = 0
    server.on('request', (_req, res) => res.once('close', () => closed++))
    await user.fetch(url, { signal: aborting.signal })
    aborting.abort()
    await until(() => closed === 1, 'the answer is closed')
    await clock.advance(120)
    for (let tries = 0; tries < 200 && (await user.fetch(url, { method: 'HEAD' })).status === 200; tries++)
      await sleep(10)
    assert.equal((await user.fetch(url)).status, 404)
  })

  it('a browser that disconnects before its session is known pins nothing', async t => {
    const aborting = new AbortController()
    let late: (() => void) | undefined
    const slow: RequestHandler = (req, res, next) => {
      if (req.query.slow === undefined) return next()
      res.once('close', () => {
        next()
        late?.()
      })
      aborting.abort()
    }
    const { clock, visitor } = await saveSite(t, express, {
      before: [slow],
      options: { deleteCache: [10, 60] },
    })
    const user = visitor()
    const { url } = await save(user)
    const served = new Promise<void>(resolve => {
      late = resolve
    })
    await assert.rejects(user.fetch(`${url}?slow`, { signal: aborting.signal }))
    await served
    await clock.advance(120)
    for (let tries = 0; tries < 200 && (await user.fetch(url, { method: 'HEAD' })).status === 200; tries++)
      await sleep(10)
    assert.equal((await user.fetch(url)).status, 404)
  })

  it('a session that ends during a download: the response is complete or visibly cut, and nothing crashes', async t => {
    const { gradio, visitor } = await saveSite(t, express)
    const user = visitor()
    const content = Buffer.alloc(20_000_000, DIGITS)
    const { url } = await save(user, 'large.bin', content)
    const answer = await user.fetch(url)
    await gradio.endSession(gradio.sessions()[0]?.id ?? '')
    const received = await answer.arrayBuffer().then(
      ({ byteLength }) => byteLength,
      () => 'cut',
    )
    assert.ok(received === content.length || received === 'cut', `${received}`)
    assert.equal((await user.fetch(url)).status, 404)
  })
})
