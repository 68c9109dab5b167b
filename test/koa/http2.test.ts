// Files over HTTP/2, where a client can request any number at the same time.

import assert from 'node:assert/strict'
import { type ClientHttp2Stream, connect, constants, createServer } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { it } from 'node:test'
import { openBelow, scratch } from '../support/files/disk.ts'
import { until } from '../support/http/express.ts'
import { forEachKoa, koaSite } from '../support/http/koa.ts'

forEachKoa(Koa => {
  it('a session has 100 files open at a time, and at most 1,000 wait: 429', async t => {
    const cacheDir = scratch(t)
    const { app, visitor } = await koaSite(t, Koa, {
      options: { cacheDir },
      routes: {
        'GET /file': async ctx => {
          ctx.body = (await ctx.gradioState.saveFile(Buffer.alloc(1_000_000), { name: 'a' })).url
        },
      },
    })
    const answer = app.callback()
    const server = createServer((req, res) => void answer(req, res))
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
    const client = connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
    t.after(() => {
      client.destroy()
      server.close()
    })
    const [user, other] = [visitor(), visitor()]
    const [url, ofOther] = [
      await (await user.fetch('/file')).text(),
      await (await other.fetch('/file')).text(),
    ]
    const cookie = [...user.cookies].map(pair => pair.join('=')).join('; ')
    const statuses: number[] = []
    /** Requests files without reading them: their bytes are more than the window of a stream. */
    const request = (count: number): ClientHttp2Stream[] =>
      Array.from({ length: count }, () => {
        const stream = client.request({ ':path': url, cookie })
        stream.on('response', ({ ':status': status = 0 }) => statuses.push(status)).on('error', () => {})
        return stream
      })
    const streams = request(1100)
    await until(() => statuses.length === 100)
    request(10)
    await until(() => statuses.length === 110)
    assert.deepEqual(statuses.slice(100), Array(10).fill(429))
    assert.equal(openBelow(cacheDir).length, 100)
    assert.equal((await (await other.fetch(ofOther)).arrayBuffer()).byteLength, 1_000_000)
    // Some that wait are given up, some that are open are read, and some are cut off.
    for (const stream of streams.slice(150, 1100)) stream.close(constants.NGHTTP2_CANCEL)
    for (const stream of streams.slice(0, 10)) stream.resume()
    for (const stream of streams.slice(10, 50)) stream.close(constants.NGHTTP2_CANCEL)
    await until(() => statuses.length === 160)
    assert.deepEqual(statuses.slice(110), Array(50).fill(200))
    request(20)
    assert.equal((await (await other.fetch(ofOther)).arrayBuffer()).byteLength, 1_000_000)
    await until(() => openBelow(cacheDir).length <= 100)
    assert.equal(statuses.length, 160)
    client.destroy()
    await until(() => openBelow(cacheDir).length === 0)
  })
})
