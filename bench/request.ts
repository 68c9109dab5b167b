import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'
import express, { type Express } from 'express'
import { gradioState } from '../lib/index.js'
import { median, type Row, times } from './table.js'

export const title = 'an Express app without and with the middleware, requests that keep their connections'

const REQUESTS = 4_000
const CONNECTIONS = 8
const ROUNDS = 9

export async function run(): Promise<Row[]> {
  const gradio = gradioState()
  const counter = gradio.state('counter', { value: 0, timeToLive: '1h' })
  const using = (change: (app: Express) => void) => (app: Express) => {
    app.use(gradio)
    change(app)
  }
  const read = using(app =>
    app.get('/', (req, res) => {
      res.end(String(req.gradioState.get(counter)))
    }),
  )
  const contenders = {
    without: await contender(app => app.get('/', (_req, res) => res.end('0'))),
    'mounted, not used': await contender(using(app => app.get('/', (_req, res) => res.end('0')))),
    'known session, not used': await contender(
      using(app => app.get('/', (req, res) => res.end(req.headers.cookie ? '0' : req.gradioState.id))),
    ),
    'known session, a value read': await contender(read),
    'known session, a value updated': await contender(
      using(app =>
        app.get('/', (req, res) => {
          req.gradioState.update(counter, count => count + 1)
          res.end('0')
        }),
      ),
    ),
  }
  const cookies = new Map<string, string | undefined>()
  for (const [name, { origin }] of Object.entries(contenders)) {
    const answer = await fetch(origin)
    await answer.arrayBuffer()
    cookies.set(name, answer.headers.getSetCookie()[0]?.split(';')[0])
  }
  const measured = new Map<string, number[]>()
  for (let round = 0; round < ROUNDS; round++) {
    for (const [name, { port }] of Object.entries(contenders)) {
      const perSecond = await load(port, cookies.get(name))
      // The first round warms up.
      if (round > 0) measured.set(name, [...(measured.get(name) ?? []), perSecond])
    }
  }
  for (const { server } of Object.values(contenders)) {
    server.closeAllConnections()
    server.close()
  }
  await gradio.close()
  const baseline = median(measured.get('without') as number[])
  return [...measured].map(([name, rounds]) => ({
    name,
    'requests/s': median(rounds).toFixed(0),
    'each takes': times(baseline / median(rounds)),
  }))
}

async function contender(
  change: (app: Express) => void,
): Promise<{ server: Server; origin: string; port: number }> {
  const app = express().disable('x-powered-by')
  change(app)
  const server = createServer(app).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return { server, port, origin: `http://127.0.0.1:${port}` }
}

/** Requests per second. Written and counted by hand, so that the client costs little of what is measured. */
async function load(port: number, cookie: string | undefined): Promise<number> {
  const head = `GET / HTTP/1.1\r\nHost: localhost\r\n${cookie === undefined ? '' : `Cookie: ${cookie}\r\n`}\r\n`
  const sockets = await Promise.all(
    Array.from({ length: CONNECTIONS }, async () => {
      const socket = connect(port, '127.0.0.1').setEncoding('latin1')
      await once(socket, 'connect')
      return socket
    }),
  )
  const begun = performance.now()
  await Promise.all(sockets.map(socket => send(socket, head, REQUESTS / CONNECTIONS)))
  const seconds = (performance.now() - begun) / 1000
  for (const socket of sockets) socket.destroy()
  return REQUESTS / seconds
}

function send(socket: Socket, head: string, count: number): Promise<void> {
  return new Promise((resolve, reject) => {
    let answered = 0
    socket.once('error', reject)
    socket.on('data', () => {
      // One request at a time, and an answer this short comes in one piece.
      if (++answered === count) resolve()
      else socket.write(head)
    })
    socket.write(head)
  })
}
