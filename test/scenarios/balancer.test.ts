// The load balancer of the example app.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type RequestListener, request, type Server } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { it, type TestContext } from 'node:test'
import { createBalancer } from '../../example-app/balancer.ts'
import { serve, until } from '../support/http/express.ts'

const portOf = (server: Server) => (server.address() as AddressInfo).port

/** Nodes that respond as given, behind the balancer. */
async function balanced(t: TestContext, ...nodes: RequestListener[]) {
  const served = []
  for (const node of nodes) served.push(await serve(t, node))
  const balancer = await serve(t, createBalancer(served))
  return { ...balancer, nodes: served }
}

const named =
  (name: string): RequestListener =>
  (_req, res) =>
    res.end(name)

async function textOf(answer: IncomingMessage): Promise<string> {
  let text = ''
  for await (const part of answer.setEncoding('utf8')) text += part
  return text
}

async function text(url: string) {
  return (await fetch(url)).text()
}

it('each request goes to the next node', async t => {
  const { origin } = await balanced(t, named('a'), named('b'), named('c'))
  const answers = []
  for (let i = 0; i < 6; i++) answers.push(await text(origin))
  assert.deepEqual(answers, ['a', 'b', 'c', 'a', 'b', 'c'])
})

it('a node that refuses connections is skipped, and tried again later; without any, the response is 503', async t => {
  const { origin, nodes } = await balanced(t, named('a'), named('b'))
  const [a, b] = nodes.map(({ server }) => server) as [Server, Server]
  const port = portOf(a)
  a.close()
  a.closeAllConnections()
  for (let i = 0; i < 4; i++) assert.equal(await text(origin), 'b')
  const again = createServer(named('a')).listen(port, '127.0.0.1')
  t.after(() => again.close().closeAllConnections())
  const giveUp = performance.now() + 120_000
  while ((await text(origin)) !== 'a') assert.ok(performance.now() < giveUp, 'the node is not asked again')
  for (const server of [again, b]) server.close().closeAllConnections()
  const answer = await fetch(origin)
  assert.deepEqual([answer.status, answer.headers.get('retry-after')], [503, '1'])
})

it('the node receives what was sent, and the address of the client', async t => {
  let seen: IncomingMessage | undefined
  const { origin, port } = await balanced(t, (req, res) => {
    seen = req
    res.setHeader('Set-Cookie', ['a=1', 'b=2'])
    res.statusCode = 418
    res.end()
  })
  const answer = await fetch(`${origin}/a%2Fb?c=d`, {
    method: 'DELETE',
    headers: { cookie: 'x=y', 'x-forwarded-for': '10.1.1.1' },
  })
  assert.deepEqual([answer.status, answer.headers.getSetCookie()], [418, ['a=1', 'b=2']])
  assert.deepEqual([seen?.method, seen?.url], ['DELETE', '/a%2Fb?c=d'])
  const { host, cookie, ...headers } = seen?.headers ?? {}
  assert.deepEqual([host, cookie], [`127.0.0.1:${port}`, 'x=y'])
  assert.deepEqual(
    [headers['x-forwarded-for'], headers['x-forwarded-host'], headers['x-forwarded-proto']],
    ['10.1.1.1, 127.0.0.1', host, 'http'],
  )
})

it('uploads and responses are passed on while they arrive', async t => {
  const got: string[] = []
  const { port } = await balanced(t, (req, res) => {
    req.setEncoding('utf8').on('data', text => {
      got.push(text)
      res.write(`<${text}>`)
    })
    req.on('end', () => res.end())
  })
  const sent = request({ port, host: '127.0.0.1', method: 'POST' })
  sent.write('one')
  const [answer] = (await once(sent, 'response')) as [IncomingMessage]
  const received: string[] = []
  answer.setEncoding('utf8').on('data', text => received.push(text))
  await until(() => received.length === 1, 'the first part')
  sent.end('two')
  await once(answer, 'end')
  assert.deepEqual([got, received.join('')], [['one', 'two'], '<one><two>'])
})

it('the response of a node that rejects an upload early is passed on', async t => {
  const { origin } = await balanced(t, (_req, res) => {
    res.writeHead(413).end('too large')
  })
  for (let round = 0; round < 5; round++) {
    const sent = request(origin, { method: 'POST' })
    sent.on('error', () => {})
    sent.write(Buffer.alloc(1024 * 1024))
    const [answer] = (await once(sent, 'response')) as [IncomingMessage]
    assert.equal(answer.statusCode, 413)
    assert.equal(await textOf(answer), 'too large')
    sent.end(Buffer.alloc(1024 * 1024))
  }
})

it('a node that dies during a response leaves it cut, and during a request causes a 502', async t => {
  const { origin } = await balanced(t, (req, res) => {
    if (req.url === '/begun') res.write('begun')
    setTimeout(() => req.socket.destroy(), 50)
  })
  const answer = await fetch(`${origin}/begun`)
  await assert.rejects(answer.text())
  assert.equal((await fetch(origin)).status, 502)
})

it('when the browser aborts, so does the request to the node', async t => {
  let isClosed = false
  const { origin } = await balanced(t, (_req, res) => {
    res.write('begun')
    res.on('close', () => {
      isClosed = true
    })
  })
  const giveUp = new AbortController()
  await fetch(origin, { signal: giveUp.signal })
  giveUp.abort()
  await until(() => isClosed, 'the node knows')
})

it('an upgrade is passed to the next node in both directions, and ends on both sides', async t => {
  const { port, nodes } = await balanced(t, named('a'), named('b'))
  const ends: string[] = []
  for (const [index, { server }] of nodes.entries()) {
    server.on('upgrade', (req, socket, head) => {
      socket.write(
        `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n${index}${head}`,
      )
      socket.on('data', (bytes: Buffer) => socket.write(bytes))
      socket.on('error', () => {})
      socket.on('end', () => socket.end())
      socket.on('close', () => ends.push(`${index} ${req.headers.upgrade} ${req.headers['x-forwarded-for']}`))
    })
  }
  for (const index of [0, 1]) {
    const socket = connect(port, '127.0.0.1')
    let received = ''
    socket.setEncoding('utf8').on('data', text => {
      received += text
    })
    socket.write('GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nhead')
    await until(() => received.endsWith(`${index}head`), 'the handshake')
    socket.write(' and more')
    await until(() => received.endsWith('head and more'), 'the echo')
    socket.destroy()
    await until(() => ends.length === index + 1, 'the end')
  }
  assert.deepEqual(ends, ['0 echo 127.0.0.1', '1 echo 127.0.0.1'])
})
