// Creates, uses and ends tens of thousands of sessions, and prints what is left of them. Run with --expose-gc.

import { once } from 'node:events'
import { createServer } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import express from 'express'
import { gradioState } from '../../lib/index.ts'
import { fakeClock, visitor } from '../../lib/testing/index.ts'

/** The output of `main`, as JSON. */
export interface Report {
  /** After the warm-up, and after each further round. */
  readonly measures: readonly Measure[]
  readonly callbacks: number
}

export interface Measure {
  readonly heapUsed: number
  readonly resources: string[]
  readonly listeners: Record<string, number>
  readonly timers: number
  readonly stats: { sessions: number; ending: number; pages: number }
}

const CONNECTIONS = 16
const PAGES = 100

await main(Number(process.argv[2]), Number(process.argv[3]))

/** A round of this many sessions to warm up, then as many further ones as given. */
async function main(sessions: number, rounds: number): Promise<void> {
  const clock = fakeClock()
  const gradio = gradioState({ clock, maxSessions: Number.POSITIVE_INFINITY })
  const app = express()
  let callbacks = 0
  let requests = 0
  const model = gradio.state('model', {
    value: () => ({ weights: new Array(32).fill(0) }),
    timeToLive: '30m',
    deleteCallback: async () => {
      callbacks++
    },
  })
  for (const name of ['load', 'unload', 'ended'] as const) gradio[name](async () => {})
  app.use(gradio)
  app.get('/', (req, res) => {
    req.gradioState.get(model)
    req.gradioState.set('name', {}, { deleteCallback: () => callbacks++ })
    // Not each one: Node.js keeps a weak table of all DOMExceptions that aborts have created, and V8 never shrinks it.
    if (++requests % 64 === 0) void req.gradioState.signal
    res.end('ok')
  })
  const server = createServer(app).listen(0, '127.0.0.1')
  // A busy machine may stop this process for longer than the 5 s after which an idle connection is closed.
  server.keepAliveTimeout = 0
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo

  async function round(): Promise<void> {
    const each = Math.ceil(sessions / CONNECTIONS)
    await Promise.all(Array.from({ length: CONNECTIONS }, () => send(port, each)))
    const pages = await Promise.all(
      Array.from({ length: PAGES }, async (_, index) => {
        const page = await visitor(`http://127.0.0.1:${port}`).openPage({ socket: index % 4 !== 0 })
        return index % 2 === 0 ? page.close() : page.crash()
      }),
    )
    if (pages.length !== PAGES) throw new Error('Expected all pages')
    while (gradio.stats().open > PAGES / 4) await sleep(5)
    await clock.advance('3h')
    while (gradio.stats().sessions + gradio.stats().ending > 0) await sleep(5)
  }

  async function measure(): Promise<Measure> {
    // Idle connections of `fetch` are closed after 4 s; then only those of the pages are left.
    server.closeAllConnections()
    let heapUsed = Number.POSITIVE_INFINITY
    for (let times = 0; times < 8; times++) {
      await sleep(50)
      global.gc?.()
      heapUsed = Math.min(heapUsed, process.memoryUsage().heapUsed)
    }
    const { sessions, ending, pages } = gradio.stats()
    const listeners = Object.fromEntries(
      [process, server].flatMap((emitter, index) =>
        emitter.eventNames().map(name => [`${index} ${String(name)}`, emitter.listenerCount(name)]),
      ),
    )
    return {
      heapUsed,
      resources: process.getActiveResourcesInfo().sort(),
      listeners,
      timers: clock.timers,
      stats: { sessions, ending, pages },
    }
  }

  const measures: Measure[] = []
  for (let index = 0; index <= rounds; index++) {
    await round()
    measures.push(await measure())
  }
  const report: Report = { measures, callbacks }
  await gradio.close()
  server.close()
  console.log(JSON.stringify(report))
}

/** Sends this many requests without a cookie through one connection, some at a time. */
async function send(port: number, count: number): Promise<void> {
  const request = 'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n'
  const socket = connect(port, '127.0.0.1').setEncoding('latin1')
  let sent = 0
  let answered = 0
  const write = (more: number) => {
    const batch = Math.min(more, count - sent)
    sent += batch
    if (batch > 0) socket.write(request.repeat(batch))
  }
  await new Promise<void>((resolve, reject) => {
    let rest = ''
    socket.on('data', (chunk: string) => {
      const parts = (rest + chunk).split('HTTP/1.1 200')
      answered += parts.length - 1
      rest = (parts.at(-1) as string).slice(-16)
      if (answered === count) resolve()
      else if (sent - answered < 16) write(16)
    })
    socket.once('error', reject)
    socket.once('close', () => reject(new Error('Expected the connection to stay')))
    write(32)
  })
  socket.destroy()
}
