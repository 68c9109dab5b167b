// When a response is over, for all kinds of responses: those of Node.js, queued ones, stand-ins.

import assert from 'node:assert/strict'
import { EventEmitter, once } from 'node:events'
import { createServer, type IncomingMessage, ServerResponse } from 'node:http'
import {
  type ClientHttp2Stream,
  connect as connectHttp2,
  createServer as createHttp2Server,
  type Http2ServerRequest,
  type Http2ServerResponse,
} from 'node:http2'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { it, type TestContext } from 'node:test'
import light from 'light-my-request'
import mocks from 'node-mocks-http'
import serverless from 'serverless-http'
import { type Exchange, isOver, whenOver } from '../../lib/util/response-over.ts'
import { until } from '../support/http/express.ts'

/** Counts the calls of one listener. */
function watch(exchange: Exchange): { calls: number; forget(): void } {
  const watched = { calls: 0, forget: () => {} }
  watched.forget = whenOver(exchange, () => {
    watched.calls++
  })
  return watched
}

interface Seen {
  readonly req: IncomingMessage
  readonly res: ServerResponse
}

/** A server that never responds by itself, and one connection to it. */
async function connection(t: TestContext) {
  const seen: Seen[] = []
  const server = createServer((req, res) => seen.push({ req, res }))
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1')
  client.on('error', () => {})
  t.after(() => {
    client.destroy()
    server.closeAllConnections()
    server.close()
  })
  const send = async (count: number) => {
    const before = seen.length
    client.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n'.repeat(count))
    await until(() => seen.length === before + count)
    return seen.slice(before)
  }
  return { server, client, send }
}

it('a response that is sent', async t => {
  const { client, send } = await connection(t)
  const [exchange] = (await send(1)) as [Seen]
  const watched = watch(exchange)
  assert.deepEqual([isOver(exchange), watched.calls], [false, 0])
  exchange.res.end('done')
  await once(client, 'data')
  await until(() => watched.calls > 0)
  assert.deepEqual([isOver(exchange), watched.calls], [true, 1])
  assert.equal(watch(exchange).calls, 1)
  // The connection stays open, and no listener is left on it.
  const [next] = (await send(1)) as [Seen]
  assert.equal(watch(next).calls, 0)
})

for (const [name, end] of Object.entries({
  'whose peer goes': ({ client }: { client: Socket }) => client.destroy(),
  'that is destroyed': ({ res }: { res: ServerResponse }) => res.destroy(),
  'whose connection is closed by the server': ({ close }: { close(): void }) => close(),
})) {
  it(`a response ${name}`, async t => {
    const { client, send, server } = await connection(t)
    const [exchange] = (await send(1)) as [Seen]
    const watched = watch(exchange)
    end({ client, res: exchange.res, close: () => server.closeAllConnections() })
    await until(() => watched.calls > 0)
    assert.equal(watch(exchange).calls, 1)
    assert.equal(watched.calls, 1)
  })
}

it('responses that wait for their turn, and are sent', async t => {
  const { client, send } = await connection(t)
  const exchanges = await send(3)
  const watched = exchanges.map(watch)
  client.resume()
  exchanges[2]?.res.end('third')
  exchanges[1]?.res.end('second')
  assert.deepEqual(exchanges.map(isOver), [false, false, false])
  exchanges[0]?.res.end('first')
  await until(() => watched.every(({ calls }) => calls === 1))
  client.destroy()
  // Not `once`, which rejects on an error: unread data of the client makes this a reset.
  await new Promise(resolve => exchanges[0]?.req.socket.once('close', resolve))
  assert.deepEqual(
    watched.map(({ calls }) => calls),
    [1, 1, 1],
  )
})

it('200 responses that wait for their turn, some of which were ended by the app, when the connection is closed', async t => {
  const warnings: Error[] = []
  const note = (warning: Error) => warnings.push(warning)
  process.on('warning', note)
  t.after(() => process.off('warning', note))
  const { client, send } = await connection(t)
  const exchanges = await send(201)
  const watched = exchanges.map(watch)
  const forgotten = exchanges.map(watch)
  for (const { forget } of forgotten) forget()
  for (const { res } of exchanges.slice(100, 150)) res.end('never sent')
  client.destroy()
  await until(() => watched.every(({ calls }) => calls === 1))
  assert.ok(exchanges.every(isOver))
  assert.ok(exchanges.every(exchange => watch(exchange).calls === 1))
  assert.ok(forgotten.every(({ calls }) => calls === 0))
  await new Promise(setImmediate)
  assert.deepEqual(warnings, [])
})

for (const [name, standIn] of Object.entries({
  'none at all': () => undefined,
  'an empty object': () => ({}) as ServerResponse,
  'a response that was never given a socket': (req: IncomingMessage) => new ServerResponse(req),
})) {
  it(`an upgrade, where the response is ${name}, is over with its connection`, async t => {
    const server = createServer()
    const exchanges: Exchange[] = []
    server.on('upgrade', (req, socket) => {
      // As a WebSocket library does.
      socket.resume().on('end', () => socket.destroy())
      exchanges.push({ req, res: standIn(req) })
    })
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
    const client = connect((server.address() as AddressInfo).port, '127.0.0.1')
    t.after(() => {
      client.destroy()
      server.close()
    })
    client.write('GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n')
    await until(() => exchanges.length === 1)
    const [exchange] = exchanges as [Exchange]
    const watched = watch(exchange)
    assert.deepEqual([isOver(exchange), watched.calls], [false, 0])
    client.destroy()
    await until(() => watched.calls === 1)
    assert.equal(watch(exchange).calls, 1)
  })
}

it('an object without events is over at once', () => {
  const req = mocks.createRequest()
  const res: ServerResponse = mocks.createResponse({ req })
  assert.equal(watch({ req, res }).calls, 1)
  assert.equal(watch({ req: {} as IncomingMessage, res: undefined }).calls, 1)
})

it('node-mocks-http with events', () => {
  const req = mocks.createRequest()
  const res: ServerResponse = mocks.createResponse({ req, eventEmitter: EventEmitter })
  const watched = watch({ req, res })
  assert.equal(watched.calls, 0)
  res.end()
  assert.equal(watched.calls, 1)
})

it('light-my-request and serverless-http', async () => {
  const watched: { calls: number }[] = []
  const listener = (req: IncomingMessage, res: ServerResponse) => {
    watched.push(watch({ req, res }))
    assert.equal(watched.at(-1)?.calls, 0)
    res.end('answered')
  }
  assert.equal((await light(listener, { url: '/' })).payload, 'answered')
  const handler = serverless(listener as never)
  await handler({ httpMethod: 'GET', path: '/', headers: {}, requestContext: {} }, {})
  await until(() => watched.length === 2 && watched.every(({ calls }) => calls === 1))
})

it('HTTP/2: answered, reset, and checked after a reset', async t => {
  const seen: { req: Http2ServerRequest; res: Http2ServerResponse }[] = []
  const server = createHttp2Server((req, res) => seen.push({ req, res }))
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const client = connectHttp2(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
  t.after(() => {
    client.destroy()
    server.close()
  })
  const exchange = async (): Promise<[Exchange, ClientHttp2Stream]> => {
    const stream = client.request({ ':path': '/' }).on('error', () => {})
    const before = seen.length
    await until(() => seen.length > before)
    return [seen[before] as unknown as Exchange, stream]
  }
  const [answered, stream] = await exchange()
  const first = watch(answered)
  assert.equal(first.calls, 0)
  answered.res?.end('done')
  stream.resume()
  await until(() => first.calls === 1)
  const [reset, lost] = await exchange()
  const second = watch(reset)
  lost.close(8)
  await until(() => second.calls === 1)
  assert.equal(watch(reset).calls, 1)
  const [cut] = await exchange()
  const third = watch(cut)
  client.destroy()
  await until(() => third.calls === 1)
  assert.deepEqual([first.calls, second.calls, watch(cut).calls], [1, 1, 1])
})
