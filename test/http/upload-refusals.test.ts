// What `POST upload` rejects, and that nothing is left of it.

import assert from 'node:assert/strict'
import { rm, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { Readable } from 'node:stream'
import { it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { GradioStateError, GradioStateOptions } from '../../lib/index.ts'
import { scratch } from '../support/files/disk.ts'
import { type Refused, upload, uploadRouteSite } from '../support/files/upload-route-site.ts'
import { forEachExpress, site, until } from '../support/http/express.ts'

const MULTIPART = { 'content-type': 'multipart/form-data; boundary=x' }

forEachExpress((_name, express) => {
  it('a page of another site is rejected, and nothing is started or kept', async t => {
    const { gradio, visitor, onDisk } = await uploadRouteSite(t, express)
    const known = visitor()
    await known.fetch('/id')
    const foreign: Record<string, string>[] = [
      { 'sec-fetch-site': 'cross-site' },
      { 'sec-fetch-site': 'same-site' },
      { origin: 'https://evil.example' },
      { origin: 'null' },
    ]
    for (const headers of foreign)
      for (const user of [known, visitor()]) {
        const answer = await upload(user, { 'a.txt': 'a' }, { headers })
        assert.equal(answer.status, 403)
        assert.equal(((await answer.json()) as Refused).error.code, 'CROSS_SITE')
        assert.deepEqual(answer.headers.getSetCookie(), [])
      }
    assert.equal(gradio.stats().sessions, 1)
    assert.deepEqual(onDisk(), [])
  })

  it('a page of a listed origin is accepted, and so is its preflight', async t => {
    const origin = 'http://localhost:5173'
    const { visitor } = await uploadRouteSite(t, express, { options: { origins: [origin] } })
    const user = visitor()
    const asked = { origin, 'sec-fetch-site': 'cross-site', 'access-control-request-method': 'POST' }
    const preflight = await user.fetch('/gradio_api/upload', { method: 'OPTIONS', headers: asked })
    assert.equal(preflight.status, 204)
    assert.equal(preflight.headers.get('access-control-allow-origin'), origin)
    assert.equal(preflight.headers.get('access-control-allow-credentials'), 'true')
    assert.equal(preflight.headers.get('access-control-allow-methods'), 'POST')
    const answer = await upload(
      user,
      { 'a.txt': 'a' },
      { headers: { origin, 'sec-fetch-site': 'cross-site' } },
    )
    assert.equal(answer.status, 200)
    assert.equal(answer.headers.get('access-control-allow-origin'), origin)
  })

  const limits: Record<string, [GradioStateOptions, number, string]> = {
    'a file over maxFileSize': [{ maxFileSize: 10_000 }, 413, 'FILE_TOO_LARGE'],
    'files over maxSessionBytes': [{ maxSessionBytes: 10_000 }, 413, 'SESSION_FULL'],
    'files over maxCacheBytes': [{ maxCacheBytes: 10_000 }, 507, 'CACHE_FULL'],
  }
  for (const [name, [options, status, code]] of Object.entries(limits)) {
    it(`${name}: ${status} as JSON, and nothing of the request is kept`, async t => {
      const { gradio, visitor, onDisk, errors } = await uploadRouteSite(t, express, { options })
      const user = visitor()
      await upload(user, { 'before.txt': 'x' })
      const answer = await upload(user, { 'small.txt': 'small', 'large.bin': new Uint8Array(2_000_000) })
      assert.equal(answer.status, status)
      assert.equal(answer.headers.get('content-type'), 'application/json')
      assert.equal(answer.headers.get('cache-control'), 'no-store')
      const { error } = (await answer.json()) as Refused
      assert.equal(error.code, code)
      assert.match(error.message, /^Expected at most 10000 bytes/)
      assert.deepEqual(onDisk(), ['before.txt'])
      const kept = await gradio.sessions()[0]?.files()
      assert.deepEqual(
        kept?.map(file => file.name),
        ['before.txt'],
      )
      assert.equal((await upload(user, { 'after.txt': 'y' })).status, 200)
      assert.deepEqual(errors, [])
    })
  }

  const wrong: Record<string, [BodyInit, Record<string, string>]> = {
    JSON: ['{}', { 'content-type': 'application/json' }],
    'a urlencoded form': ['files=a', { 'content-type': 'application/x-www-form-urlencoded' }],
    'bytes without a type': [new Uint8Array(3), {}],
    'multipart of another kind': ['--x--\r\n', { 'content-type': 'multipart/mixed; boundary=x' }],
    'no boundary': ['--x--\r\n', { 'content-type': 'multipart/form-data' }],
    'an empty boundary': ['----\r\n', { 'content-type': 'multipart/form-data; boundary=' }],
    'an empty boundary in quotes': ['----\r\n', { 'content-type': 'multipart/form-data; boundary=""; a=b' }],
    'a body that ends too early': [
      '--x\r\nContent-Disposition: form-data; name="files"; filename="a.txt"\r\n\r\nhalf a fi',
      MULTIPART,
    ],
    'a part without a head': ['--x\r\nnonsense\r\n\r\nnonsense', MULTIPART],
    'a text of 100 KB': [
      `--x\r\nContent-Disposition: form-data; name="text"\r\n\r\n${'x'.repeat(100_000)}\r\n--x--\r\n`,
      MULTIPART,
    ],
    'a hundred texts': [
      `${'--x\r\nContent-Disposition: form-data; name="text"\r\n\r\nx\r\n'.repeat(100)}--x--\r\n`,
      MULTIPART,
    ],
  }
  for (const [name, [body, headers]] of Object.entries(wrong)) {
    it(`${name}: 400 as JSON`, async t => {
      const { visitor, onDisk, errors } = await uploadRouteSite(t, express)
      const answer = await visitor().fetch('/gradio_api/upload', { method: 'POST', body, headers })
      assert.equal(answer.status, 400)
      const { error } = (await answer.json()) as Refused
      assert.equal(error.code, 'UPLOAD_INVALID')
      assert.match(error.message, /^Expected multipart\/form-data with files in the field files, .+\.$/)
      assert.deepEqual(errors, [])
      assert.deepEqual(onDisk(), [])
    })
  }

  it('another field: 400 with its name, and nothing of the request is kept', async t => {
    const { visitor, onDisk, errors } = await uploadRouteSite(t, express)
    const form = new FormData()
    form.append('files', new Blob(['a']), 'a.txt')
    form.append('picture', new Blob(['b']), 'b.txt')
    const answer = await visitor().fetch('/gradio_api/upload', { method: 'POST', body: form })
    assert.equal(answer.status, 400)
    const { error } = (await answer.json()) as Refused
    assert.equal(error.code, 'UPLOAD_INVALID')
    assert.match(error.message, /picture/)
    assert.deepEqual(onDisk(), [])
    assert.deepEqual(errors, [])
  })

  it('a request that is not an upload starts no session', async t => {
    const { gradio, visitor } = await uploadRouteSite(t, express)
    await visitor().fetch('/gradio_api/upload', { method: 'POST', body: '{}' })
    assert.equal(gradio.stats().sessions, 0)
  })

  it('a browser that aborts leaves nothing behind, and no error', async t => {
    const { gradio, port, onDisk, errors } = await uploadRouteSite(t, express)
    const socket = connect(port, '127.0.0.1')
    socket.on('error', () => {})
    socket.write(
      'POST /gradio_api/upload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9000000\r\n' +
        'Content-Type: multipart/form-data; boundary=x\r\n\r\n--x\r\n' +
        'Content-Disposition: form-data; name="files"; filename="whole.txt"\r\n\r\nwhole\r\n--x\r\n' +
        'Content-Disposition: form-data; name="files"; filename="half.bin"\r\n\r\n',
    )
    socket.write(Buffer.alloc(1_000_000))
    await until(() => gradio.stats().files === 1, 'the first file is stored')
    for (let tries = 0; tries < 100 && onDisk().length < 2; tries++) await sleep(10)
    assert.equal(onDisk().length, 2, 'while it comes in')
    socket.destroy()
    await until(() => gradio.stats().files === 0, 'the first file is taken back')
    for (let tries = 0; tries < 100 && onDisk().length > 0; tries++) await sleep(10)
    assert.deepEqual(onDisk(), [])
    assert.deepEqual(errors, [])
    assert.equal(gradio.stats().open, 0)
  })

  it('a session that ends while its first file starts is reported only to its request', async t => {
    const cacheDir = scratch(t)
    const { visitor } = await site(t, express, {
      options: { cacheDir },
      routes(app, gradio) {
        app.post('/save', (req, res) => {
          const { id } = req.gradioState
          const file = { originalname: 'a.txt', stream: Readable.from(['a']) } as Express.Multer.File
          // Everything up to the first disk access is synchronous.
          gradio.storage._handleFile(req, file, (error: unknown) =>
            res.status((error as GradioStateError).status).end(),
          )
          gradio.endSession(id).catch(() => {})
        })
      },
    })
    assert.equal((await visitor().fetch('/save', { method: 'POST' })).status, 410)
  })

  it('after close(): 503 as JSON', async t => {
    const { gradio, visitor } = await uploadRouteSite(t, express)
    const user = visitor()
    await upload(user, { 'a.txt': 'a' })
    await gradio.close()
    const answer = await upload(user, { 'b.txt': 'b' })
    assert.equal(answer.status, 503)
    assert.equal(((await answer.json()) as Refused).error.code, 'CLOSED')
  })

  it('an error of the disk is passed to the app', async t => {
    const { cacheDir, visitor, errors } = await uploadRouteSite(t, express)
    await rm(cacheDir, { recursive: true })
    await writeFile(cacheDir, 'a file in its place')
    const answer = await upload(visitor(), { 'a.txt': 'a' })
    assert.equal(answer.status, 500)
    assert.equal(errors.length, 1)
  })
})
