import assert from 'node:assert/strict'
import { connect } from 'node:net'
import { it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { type StoredUpload, upload, uploadRouteSite } from '../support/files/upload-route-site.ts'
import { forEachExpress, json, until } from '../support/http/express.ts'
import { RecordingStore } from '../support/stores/recording-store.ts'

forEachExpress((_name, express) => {
  it('is off by default: the request is passed to the app', async t => {
    const { gradio, visitor, passedOn } = await uploadRouteSite(t, express, {
      options: { uploadRoute: false },
    })
    const user = visitor()
    assert.equal((await upload(user, { 'a.txt': 'a' })).status, 404)
    assert.equal((await user.fetch('/gradio_api/upload', { method: 'OPTIONS' })).status, 404)
    assert.deepEqual(passedOn, ['POST /gradio_api/upload', 'OPTIONS /gradio_api/upload'])
    assert.equal(gradio.stats().sessions, 0)
  })

  it('accepts only POST', async t => {
    const { visitor, passedOn } = await uploadRouteSite(t, express)
    const user = visitor()
    for (const [method, path] of [
      ['GET', '/gradio_api/upload'],
      ['PUT', '/gradio_api/upload'],
      ['POST', '/gradio_api/upload/more'],
      ['POST', '/gradio_api/uploads'],
    ] as const)
      assert.equal((await user.fetch(path, { method })).status, 404)
    assert.equal(passedOn.length, 4)
  })

  it('stores the files, lists them in the response, and serves them', async t => {
    const { gradio, visitor, onDisk } = await uploadRouteSite(t, express)
    const user = visitor()
    const { status, body } = await json<StoredUpload[]>(
      upload(user, { 'a b.txt': 'first', '日本.png': 'second' }),
    )
    assert.equal(status, 200)
    assert.deepEqual(
      body.map(file => Object.keys(file).sort()),
      Array(2).fill(['mimeType', 'name', 'sha256', 'size', 'url']),
      'and not where they are on the server',
    )
    assert.deepEqual(
      body.map(({ name, size, mimeType }) => [name, size, mimeType]),
      [
        ['a b.txt', 5, 'text/plain'],
        ['日本.png', 6, 'image/png'],
      ],
    )
    const texts = await Promise.all(body.map(async ({ url }) => (await user.fetch(url)).text()))
    assert.deepEqual(texts, ['first', 'second'])
    assert.deepEqual(onDisk().sort(), ['a b.txt', '日本.png'])
    const [session] = gradio.sessions()
    const files = await session?.files()
    assert.deepEqual(files?.map(({ url }) => url).sort(), body.map(({ url }) => url).sort())
  })

  it('a request without files returns none, and text fields are ignored', async t => {
    const { visitor } = await uploadRouteSite(t, express)
    const user = visitor()
    assert.deepEqual(await json(upload(user, {})), { status: 200, body: [] })
    const form = new FormData()
    form.append('_csrf', 'a token')
    form.append('files', new Blob(['a']), 'a.txt')
    const { status, body } = await json<StoredUpload[]>(
      user.fetch('/gradio_api/upload', { method: 'POST', body: form }),
    )
    assert.deepEqual([status, body.length], [200, 1])
  })

  it('the name of a file does not determine its directory', async t => {
    const { visitor, onDisk } = await uploadRouteSite(t, express)
    const { body } = await json<StoredUpload[]>(
      upload(visitor(), { '../../../etc/passwd': 'x', 'C:\\a\\b.txt': 'y' }),
    )
    assert.deepEqual(
      body.map(({ name }) => name),
      ['passwd', 'b.txt'],
    )
    assert.deepEqual(onDisk().sort(), ['b.txt', 'passwd'])
  })

  for (const session of [false, {}, { rolling: true }] as const) {
    it(`a first upload sets the cookie, a second does not need to, with session: ${JSON.stringify(session)}`, async t => {
      const { gradio, visitor } = await uploadRouteSite(t, express, { session })
      const user = visitor()
      const first = await upload(user, { 'a.txt': 'a' })
      assert.equal(first.headers.getSetCookie().length, 1)
      const second = await upload(user, { 'b.txt': 'b' })
      assert.deepEqual(second.headers.getSetCookie(), [])
      const { body } = await json<{ id: string }>(user.fetch('/id'))
      assert.deepEqual(
        gradio.sessions().map(({ id }) => id),
        [body.id],
      )
      assert.equal((await gradio.session(body.id)?.files())?.length, 2)
    })

    it(`a first upload that is rejected sets it too, with session: ${JSON.stringify(session)}`, async t => {
      const { gradio, visitor } = await uploadRouteSite(t, express, { session, options: { maxFileSize: 10 } })
      const user = visitor()
      assert.equal((await upload(user, { 'a.txt': 'much too long' })).status, 413)
      assert.equal((await upload(user, { 'a.txt': 'short' })).status, 200)
      assert.equal(gradio.stats().sessions, 1)
    })
  }

  it('the session is in the store before the first file has arrived', async t => {
    const store = new RecordingStore(10)
    const { port, gradio } = await uploadRouteSite(t, express, { session: { store } })
    const socket = connect(port, '127.0.0.1')
    t.after(() => socket.destroy())
    socket.on('error', () => {})
    socket.write(
      'POST /gradio_api/upload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n' +
        'Content-Type: multipart/form-data; boundary=x\r\n\r\n--x\r\n' +
        'Content-Disposition: form-data; name="files"; filename="a.txt"\r\n\r\nbegun',
    )
    await until(() => gradio.stats().sessions === 1)
    let stored = 0
    await until(() => {
      void store.stored().then(sessions => {
        stored = Object.keys(sessions).length
      })
      return stored === 1
    }, 'the session in the store')
  })

  it('an upload of a known user writes nothing to the store, even with rolling', async t => {
    const store = new RecordingStore()
    const { visitor } = await uploadRouteSite(t, express, { session: { store, rolling: true } })
    const user = visitor()
    await upload(user, { 'a.txt': 'a' })
    await sleep(10)
    store.writes()
    assert.equal((await upload(user, { 'b.txt': 'b' })).status, 200)
    assert.equal((await upload(user, { 'b.txt': 'b' }, { field: 'wrong' })).status, 400)
    await sleep(10)
    assert.deepEqual(store.writes(), [])
  })
})
