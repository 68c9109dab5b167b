// close({ server }): what happens to the server, its connections and the process.

import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { Agent, type createServer, get, type IncomingMessage } from 'node:http'
import { createServer as createHttp2Server } from 'node:http2'
import { createServer as createHttpsServer } from 'node:https'
import { connect, createServer as createNetServer } from 'node:net'
import { it, test } from 'node:test'
import express from 'express'
import { WebSocket, WebSocketServer } from 'ws'
import { gradioState } from '../../lib/index.ts'
import { forEachExpress, type Site, site, until } from '../support/http/express.ts'
import { isAbout } from '../support/option-error.ts'

/** A request on a connection that the agent keeps, after its headers have arrived. */
async function request({ port }: Pick<Site, 'port'>, path: string, agent: Agent): Promise<IncomingMessage> {
  const [response] = (await once(get({ port, path, agent }), 'response')) as [IncomingMessage]
  return response
}

forEachExpress((_name, express) => {
  it('an idle connection is closed at once, and no client can connect any more', async t => {
    const made = await site(t, express, { routes: app => app.get('/', (_req, res) => res.send('hello')) })
    const { gradio, server, port, sockets } = made
    const response = await request(made, '/', new Agent({ keepAlive: true }))
    for await (const _chunk of response);
    assert.equal(sockets.size, 1)
    assert.deepEqual(await gradio.close({ server }), { timedOut: [] })
    assert.equal(server.listening, false)
    await until(() => sockets.size === 0)
    const late = connect(port, '127.0.0.1')
    const [error] = (await once(late, 'error')) as [NodeJS.ErrnoException]
    assert.equal(error.code, 'ECONNREFUSED')
  })

  it('a connection that has sent nothing is closed at once, and one that sends a request is not', async t => {
    const { gradio, server, port, sockets } = await site(t, express)
    const silent = connect(port, '127.0.0.1')
    const sending = connect(port, '127.0.0.1')
    sending.on('error', () => {}).write('GET / HTTP/1.1\r\nHost: a\r\n')
    await until(() => [...sockets].some(socket => socket.bytesRead > 0) && sockets.size === 2)
    const closing = gradio.close({ server })
    await once(silent, 'close')
    await until(() => sockets.size === 1)
    sending.end('\r\n')
    assert.match(String((await once(sending, 'data'))[0]), /^HTTP\/1.1 404/)
    assert.deepEqual(await closing, { timedOut: [] })
  })

  it('a response in flight is completed, and its connection is not kept', async t => {
    let finish: () => void = () => {}
    const made = await site(t, express, {
      routes: app => {
        app.get('/slow', (_req, res) => {
          res.write('begun ')
          finish = () => res.end('finished')
        })
      },
    })
    const { gradio, server, clock, sockets } = made
    const agent = new Agent({ keepAlive: true })
    t.after(() => agent.destroy())
    const response = await request(made, '/slow', agent)
    const closing = gradio.close({ server })
    await clock.advance('1s')
    finish()
    let text = ''
    for await (const chunk of response) text += chunk
    assert.equal(text, 'begun finished')
    await until(() => server.listening === false)
    await clock.advance('1s')
    assert.deepEqual(await closing, { timedOut: [] })
    assert.equal(sockets.size, 0)
  })

  it('a response that exceeds the time limit is cut off, and reported', async t => {
    const made = await site(t, express, {
      routes: app => {
        app.get('/endless', (_req, res) => void res.write('begun'))
      },
    })
    const { gradio, server, clock } = made
    const agent = new Agent()
    const response = await request(made, '/endless', agent)
    const cut = once(response, 'error')
    const closing = gradio.close({ server, timeout: '3s' })
    response.resume()
    await clock.advance('2.9s')
    assert.equal(response.destroyed, false)
    await clock.advance('0.1s')
    assert.deepEqual(await closing, { timedOut: [{ source: 'server' }] })
    const [error] = (await cut) as [NodeJS.ErrnoException]
    assert.equal(error.code, 'ECONNRESET')
  })

  it('a WebSocket of the app is left to the app; those of the pages are closed', async t => {
    const { gradio, server, port, visitor, clock } = await site(t, express)
    const own = new WebSocketServer({ noServer: true })
    server.on('upgrade', (req, socket, head) => {
      own.handleUpgrade(req, socket, head, client => client.on('message', data => client.send(data)))
    })
    const page = await visitor().openPage()
    const socket = new WebSocket(`ws://127.0.0.1:${port}/own`)
    await once(socket, 'open')
    const closing = gradio.close({ server, timeout: '3s' })
    assert.deepEqual(await page.closed, { code: 1012, reason: '' })
    await clock.advance('3s')
    const { timedOut } = await closing
    // On a busy machine, the files may not have been removed yet when the clock was advanced.
    assert.ok(timedOut.some(({ source }) => source === 'server'))
    socket.send('still here')
    assert.equal(String((await once(socket, 'message'))[0]), 'still here')
    const closed = once(server, 'close')
    socket.close()
    await closed
  })

  it('a server that is already closed, or closed by the app meanwhile, is accepted', async t => {
    const first = await site(t, express)
    await new Promise(resolve => first.server.close(resolve))
    assert.deepEqual(await first.gradio.close({ server: first.server }), { timedOut: [] })
    const second = await site(t, express)
    const closing = second.gradio.close({ server: second.server })
    second.server.close()
    assert.deepEqual(await closing, { timedOut: [] })
  })

  it('a later call may pass the server', async t => {
    const { gradio, server } = await site(t, express)
    await gradio.close()
    assert.equal(server.listening, true)
    await gradio.close({ server })
    assert.equal(server.listening, false)
  })
})

const SERVERS = {
  'node:https': () => createHttpsServer(),
  'node:http2': () => createHttp2Server(),
  'node:net': () => createNetServer(),
}
for (const [name, create] of Object.entries(SERVERS)) {
  test(`a server of ${name} is closed`, async () => {
    const server = create().listen(0)
    await once(server, 'listening')
    assert.deepEqual(await gradioState().close({ server }), { timedOut: [] })
    assert.equal(server.listening, false)
  })
}

test('an app instead of its server is rejected', async () => {
  const app: unknown = express()
  await assert.rejects(
    gradioState().close({ server: app as ReturnType<typeof createServer> }),
    isAbout('the server of close()'),
  )
})

const APP = `
import express from 'express'
import { gradioState } from 'gradio-state'
const gradio = gradioState({ hookTimeout: '200ms' })
const model = gradio.state('model', { value: 'loaded', deleteCallback: (_value, { reason }) => console.log('DELETED ' + reason) })
gradio.unload(() => console.log('UNLOAD'))
gradio.unload(() => new Promise(() => {}))
gradio.ended(() => console.log('ENDED'))
const app = express()
app.use(gradio)
app.get('/', (req, res) => { req.gradioState.get(model); res.send('hello') })
const server = app.listen(0, '127.0.0.1', () => console.log('PORT ' + server.address().port))
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => gradio.close({ server, timeout: '10s' }))
`

/** Runs the app above until it has served a browser that keeps its connection open. */
async function startApp(command: string, args: string[]): Promise<{ app: ChildProcess; output: string[] }> {
  const app = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  const output: string[] = []
  app.stdout?.setEncoding('utf8').on('data', text => output.push(...text.trim().split('\n')))
  await until(() => output.some(line => line.startsWith('PORT ')), 'that the app listens')
  const port = Number(output[0]?.slice('PORT '.length))
  const agent = new Agent({ keepAlive: true })
  const response = await request({ port }, '/', agent)
  for await (const _chunk of response);
  return { app, output }
}

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  test(`${signal} runs all hooks, although one of them hangs, and the process exits`, async () => {
    const { app, output } = await startApp(process.execPath, ['--input-type=module', '-e', APP])
    app.kill(signal)
    const [code] = await once(app, 'exit')
    assert.equal(code, 0)
    assert.deepEqual(output.slice(1), ['UNLOAD', 'DELETED shutdown', 'ENDED'])
  })
}
