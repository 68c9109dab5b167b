// Runs servers with the library and without it, sends the same bytes to both, and prints the differences, as JSON. Started by
// upgrade-matrix.test.ts, with any version of Node.js.

import { createServer as createPlain, type RequestListener, type Server } from 'node:http'
import { createSecureServer as createHttp2 } from 'node:http2'
import { createServer as createTls } from 'node:https'
import { type AddressInfo, connect as connectPlain, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { connect as connectTls } from 'node:tls'
import { type GradioState, gradioState } from '../../../lib/index.ts'
import { fakeClock } from '../../../lib/testing/index.ts'
import { selfSigned } from '../http/self-signed.ts'
import { request, type Setup, type Step, sequences, setups, WEBSOCKET } from './upgrade-setups.ts'

type Kind = 'http' | 'https' | 'http2'

const kinds: readonly Kind[] = ['http', 'https', 'http2']

/** A server, and its recorded events. */
interface Watched {
  readonly server: Server
  readonly kind: Kind
  readonly port: number
  /** Since the last call. */
  seen(): { readonly requests: unknown[]; readonly socketsLeft: number }
  /** Waits until the server has seen its clients disconnect, if it does. */
  settled(): Promise<void>
  close(): Promise<void>
}

/** The app's response; delayed for /slow. */
const app: RequestListener = (req, res) => {
  let body = ''
  req.setEncoding('latin1').on('data', data => {
    body += data
  })
  const answer = () => res.end(`${req.method} ${req.url} ${body}`)
  req.on('end', () => (req.url === '/slow' ? setTimeout(answer, 60) : answer()))
}

function create(kind: Kind, options: object, listener: RequestListener): Server {
  if (kind === 'http') return createPlain(options, listener)
  if (kind === 'https') return createTls({ ...selfSigned, ...options }, listener)
  // It emits the events of an HTTP/1 server, for clients that choose HTTP/1.
  return createHttp2({ ...selfSigned, ...options, allowHTTP1: true }, listener as never) as unknown as Server
}

async function start(kind: Kind, setup: Setup, gradio?: GradioState): Promise<Watched> {
  const requests: unknown[] = []
  let connections = 0
  const sockets = new Set<Socket>()
  const server = create(kind, setup.options ?? {}, (req, res) => {
    requests.push([req.method, req.url, req.headers.upgrade, req.rawHeaders.length, 'isOwn' in req])
    if (gradio === undefined) app(req, res)
    else gradio(req, res, () => app(req, res))
  })
  server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  })
  server.on(kind === 'http' ? 'connection' : 'secureConnection', () => connections++)
  setup.before?.(server)
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const listeners = () => server.eventNames().map(name => [String(name), server.listenerCount(name)])
  const watched = {
    server,
    kind,
    port,
    seen: () => ({
      requests: requests.splice(0),
      connections,
      listeners: listeners().sort(),
      socketsLeft: sockets.size,
    }),
    settled: () => waitUntil(() => sockets.size === 0),
    close: async () => {
      const closed = new Promise(resolve => server.close(resolve))
      for (const socket of sockets) socket.destroy()
      await closed
    },
  }
  // The first request: the library finds the server through it.
  await talk(watched, [request('GET /first', 'Connection: close\r\n')])
  setup.after?.(server)
  watched.seen()
  return watched
}

/** Sends a client's bytes, and returns what it receives until nothing more arrives. */
async function talk(
  { kind, port }: Watched,
  steps: readonly Step[],
): Promise<{ bytes: string; fate: string }> {
  const raw = connectPlain({ port, host: '127.0.0.1', noDelay: true }).on('error', () => {})
  const socket: Socket =
    kind === 'http'
      ? raw
      : connectTls({ socket: raw, rejectUnauthorized: false, ALPNProtocols: ['http/1.1'] })
  const chunks: Buffer[] = []
  let quiet = 0
  let fate = 'open'
  const note = (what: string) => {
    quiet = 0
    if (fate !== 'closed') fate = what
  }
  socket.on('data', data => {
    chunks.push(data)
    quiet = 0
  })
  socket.on('end', () => note('ended')).on('close', () => note('closed'))
  socket.on('error', () => {})
  await new Promise<void>(resolve =>
    socket.once(kind === 'http' ? 'connect' : 'secureConnect', () => resolve()),
  )
  for (const step of steps) {
    if (step === 'END') socket.end()
    else if (step === 'RESET') raw.resetAndDestroy()
    else if (step === 'ANSWER') await waitUntil(() => chunks.length > 0)
    else socket.write(step, 'latin1')
    await sleep(PAUSE)
  }
  for (quiet = 0; fate !== 'closed' && quiet < QUIET; quiet++) await sleep(PAUSE)
  socket.destroy()
  const bytes = Buffer.concat(chunks).toString('latin1')
  return { bytes: bytes.replace(/^Date: .*\r\n/gm, ''), fate }
}

/** Waits for the expected data, but no longer than until it is quiet. */
async function waitUntil(condition: () => boolean): Promise<void> {
  for (let rounds = 0; !condition() && rounds < QUIET; rounds++) await sleep(PAUSE)
}

/** Milliseconds between two pieces. */
const PAUSE = 10
/**
 * For how many pauses it has to be quiet: together longer than /slow takes. Pauses rather than milliseconds, since client and
 * server share this process, and a busy machine may block it for longer than that.
 */
const QUIET = 15
/** Rows at a time. */
const AT_ONCE = 24

interface Row {
  readonly kind: Kind
  readonly setup: string
  readonly sequence: string
}

async function observe({ kind, setup, sequence }: Row, gradio?: GradioState): Promise<string> {
  const watched = await start(kind, setups[setup] as Setup, gradio)
  const received = await talk(watched, sequences[sequence] as Step[])
  await watched.settled()
  const seen = watched.seen()
  await watched.close()
  return JSON.stringify({ ...received, ...seen })
}

async function compare(row: Row, gradio: GradioState): Promise<object | undefined> {
  const [without, with_] = await Promise.all([observe(row), observe(row, gradio)])
  return without === with_ ? undefined : { ...row, without, with: with_ }
}

/** Runs `task` for all rows, some at a time. */
async function inParallel<T, R>(rows: readonly T[], task: (row: T) => Promise<R>): Promise<R[]> {
  const results: R[] = []
  const left = [...rows.entries()]
  const work = async () => {
    for (let next = left.shift(); next !== undefined; next = left.shift())
      results[next[0]] = await task(next[1])
  }
  await Promise.all(Array.from({ length: AT_ONCE }, work))
  return results
}

/** Keeps differences that also occur when a row runs alone: a busy machine may split a response, or take long. */
async function foreign(): Promise<{ rows: number; differing: unknown[] }> {
  const gradio = gradioState({ clock: fakeClock() })
  const rows = kinds.flatMap(kind =>
    Object.keys(setups).flatMap(setup => Object.keys(sequences).map(sequence => ({ kind, setup, sequence }))),
  )
  const first = await inParallel(rows, row => compare(row, gradio))
  const differing: unknown[] = []
  for (const row of rows.filter((_, index) => first[index] !== undefined)) {
    let result: object | undefined
    for (let times = 0; times < 3; times++) {
      result = await compare(row, gradio)
      if (result === undefined) break
    }
    if (result !== undefined) differing.push(result)
  }
  await gradio.close({ timeout: 0 })
  return { rows: rows.length, differing }
}

/** The upgrade request for the library's own socket, and the status of the last response. */
const own: Readonly<Record<string, { status: number; steps(path: string): Step[] }>> = {
  alone: { status: 101, steps: path => [request(`GET ${path}`, WEBSOCKET)] },
  'in pieces': { status: 101, steps: path => [`GET ${path} HTTP/1.1\r\nHost: a\r\n`, `${WEBSOCKET}\r\n`] },
  'behind an answer': {
    status: 101,
    steps: path => [request('GET /one'), 'ANSWER', request(`GET ${path}`, WEBSOCKET)],
  },
  'with a frame behind it': { status: 101, steps: path => [request(`GET ${path}`, WEBSOCKET, PING)] },
  'behind a pending answer': {
    status: 426,
    steps: path => [request('GET /slow') + request(`GET ${path}`, WEBSOCKET)],
  },
  'with a body': {
    status: 426,
    steps: path => [request(`GET ${path}`, `${WEBSOCKET}Content-Length: 2\r\n`, 'ok')],
  },
  'with a wrong ticket': { status: 401, steps: path => [request(`GET ${path}x`, WEBSOCKET)] },
}

/** A ping with the payload `12` and a zero mask. */
const PING = '\x89\x82\0\0\0\x0012'

async function ask(row: Row, gradio: GradioState): Promise<object | undefined> {
  const { status, steps } = own[row.sequence] as (typeof own)[string]
  const watched = await start(row.kind, setups[row.setup] as Setup, gradio)
  const page = `page-${Object.values(row).join('-').replace(/\W/g, '_')}`.slice(0, 64)
  const opened = await talk(watched, [
    request(`POST /gradio_api/heartbeat/${page}?n=1`, 'Connection: close\r\n'),
  ])
  const ticket = /"ticket":"([\w-]+)/.exec(opened.bytes)?.[1]
  const path = `/gradio_api/heartbeat/${page}?n=1&ticket=${ticket}`
  const { bytes } = await talk(watched, steps(path))
  await watched.settled()
  const { socketsLeft } = watched.seen()
  await watched.close()
  const statuses = [...bytes.matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, code]) => Number(code))
  const isPonged = row.sequence !== 'with a frame behind it' || bytes.includes('\x8a\x0212')
  const isFirst = !bytes.includes('/slow') || bytes.indexOf('/slow') < bytes.indexOf('426')
  if (statuses.at(-1) === status && isPonged && isFirst && socketsLeft === 0) return undefined
  return { ...row, expected: status, bytes, socketsLeft }
}

async function ours(): Promise<{ rows: number; differing: unknown[] }> {
  const gradio = gradioState({ clock: fakeClock(), maxSessions: 10_000 })
  // A client that is allowed one request per socket can't send two.
  const names = Object.keys(setups).filter(name => name !== 'one request a socket')
  const rows = kinds.flatMap(kind =>
    names.flatMap(setup => Object.keys(own).map(sequence => ({ kind, setup, sequence }))),
  )
  const again = async (row: Row) => (await ask(row, gradio)) && ask(row, gradio)
  const results = await inParallel(rows, async row => (await ask(row, gradio)) && again(row))
  await gradio.close({ timeout: 0 })
  return { rows: rows.length, differing: results.filter(result => result !== undefined) }
}

console.log(JSON.stringify({ version: process.version, foreign: await foreign(), ours: await ours() }))

export type Matrix = Record<'foreign' | 'ours', { rows: number; differing: unknown[] }> & { version: string }
