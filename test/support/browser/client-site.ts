import assert from 'node:assert/strict'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Duplex } from 'node:stream'
import { before, describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import type { BrowserContext, Page as Tab } from 'playwright-core'
import { type WebSocket as ServerSocket, WebSocketServer } from 'ws'
import type { Page } from '../../../lib/client/index.ts'
import { type BrowserSettings, type TestBrowser, until, useBrowser } from './browser.ts'

export const second = 1000

/** The events that the server received: a POST, an upgrade, a socket that opened or closed, a goodbye. */
export interface Seen {
  what: 'post' | 'upgrade' | 'open' | 'close' | 'bye' | 'request'
  /** The id of the page; of a request of the app, its path. */
  page: string
  n: number
  code?: number
  /** Whether the goodbye, or the reason of the close, says that the next page is of the same origin. */
  within?: boolean
  cookie?: string | undefined
  /** The header that identifies the same origin. */
  proof?: unknown
  /** The header that names the tab. */
  tab?: unknown
  method?: string | undefined
}

export type Answer = number | 'hang'
export type Server = Awaited<ReturnType<typeof startServer>>

declare global {
  interface Window {
    gradio: Promise<Page>
    busy?: number
    begun?: number
    isResolved: boolean
    changes: [type: string, reason: string | null][]
    listeners: string[]
    shows: boolean[]
  }
}

/** Implements the server's side of the protocol, and handles a POST or an upgrade as the test requests. */
export async function startServer({ prefix = '/gradio_api', allowOrigin = '' } = {}) {
  const seen: Seen[] = []
  const sockets = new Set<ServerSocket>()
  const tickets = new Set<string>()
  const badTickets: string[] = []
  const ws = new WebSocketServer({ noServer: true })
  const http = createServer(handle)
  const rawSockets = new Set<Duplex>()
  let ticketCount = 0

  const server = {
    seen,
    sockets,
    badTickets,
    /** The response to a POST: 200 contains a ticket. */
    onPost: (_seen: Seen): Answer => 200,
    /** The response to an upgrade: 101 opens the socket. */
    onUpgrade: (_seen: Seen): Answer => 101,
    /** Called with each request below /app/. */
    onRequest: (_request: IncomingMessage): void => {},
    upgradeDelay: 0,
    onOpen: (_socket: ServerSocket): void => {},
    /** POSTs and upgrades without a response. */
    hanging: 0,
    url: '',
    port: 0,
    count: (what: Seen['what']) => seen.filter(entry => entry.what === what).length,
    all: (what: Seen['what']) => seen.filter(entry => entry.what === what),
    /** The only socket that is open. */
    socket() {
      assert.equal(sockets.size, 1)
      return [...sockets][0] as ServerSocket
    },
    async close() {
      for (const socket of [...sockets, ...ws.clients]) socket.terminate()
      for (const socket of rawSockets) socket.destroy()
      http.closeAllConnections()
      await new Promise(resolve => http.close(resolve))
    },
  }

  function parse(request: IncomingMessage, route: string): Seen | undefined {
    const { pathname, searchParams } = new URL(request.url ?? '', 'http://server')
    const start = `${prefix}/${route}/`
    if (!pathname.startsWith(start)) return undefined
    const n = Number(searchParams.get('n'))
    const hint = searchParams.has('within') ? { within: true } : {}
    return { what: 'post', page: pathname.slice(start.length), n, cookie: request.headers.cookie, ...hint }
  }

  function hang(stream: ServerResponse | Duplex) {
    server.hanging++
    // An upgraded socket reports that the other side has closed only while it is read.
    if (!('statusCode' in stream)) stream.on('end', () => stream.end()).resume()
    stream.on('close', () => server.hanging--)
  }

  function handle(request: IncomingMessage, response: ServerResponse) {
    const path = new URL(request.url ?? '', 'http://server').pathname
    if (allowOrigin) {
      response.setHeader('Access-Control-Allow-Origin', allowOrigin)
      response.setHeader('Access-Control-Allow-Credentials', 'true')
      response.setHeader('Access-Control-Allow-Headers', 'Gradio-State-Tab')
    }
    if (request.method === 'OPTIONS') {
      response.end()
      return
    }
    const { cookie, 'gradio-state': proof, 'gradio-state-tab': tab } = request.headers
    const bye = parse(request, 'pagehide')
    if (bye) {
      seen.push({ ...bye, what: 'bye', method: request.method })
      response.writeHead(204).end()
      return
    }
    const beat = parse(request, 'heartbeat')
    if (beat) {
      seen.push({ ...beat, method: request.method, proof, tab })
      const answer = server.onPost(beat)
      if (answer === 'hang') return hang(response)
      response.statusCode = answer
      if (answer === 200) {
        const ticket = `t+/=&${++ticketCount}`
        tickets.add(ticket)
        if (!beat.cookie) response.setHeader('Set-Cookie', 'visitor=1; HttpOnly; SameSite=Lax; Path=/')
        response.setHeader('Content-Type', 'application/json')
        response.end(JSON.stringify({ ticket }))
      } else {
        response.end()
      }
    } else if (path.startsWith('/app/')) {
      seen.push({ what: 'request', page: path, n: 0, cookie, tab })
      server.onRequest(request)
      response.end('done')
    } else if (path.endsWith('.js')) {
      response.setHeader('Content-Type', 'text/javascript')
      response.end(script)
    } else {
      response.setHeader('Content-Type', 'text/html')
      response.end('<!doctype html><title>Page</title><link rel="icon" href="data:,">')
    }
  }

  http.on('connection', socket => {
    rawSockets.add(socket)
    socket.on('close', () => rawSockets.delete(socket))
  })
  http.on('upgrade', (request, socket, head) => {
    const entry = parse(request, 'heartbeat')
    if (!entry) return socket.destroy()
    const { page, n } = entry
    seen.push({ what: 'upgrade', page, n })
    const ticket = new URL(request.url ?? '', 'http://server').searchParams.get('ticket') ?? ''
    if (!tickets.delete(ticket)) badTickets.push(ticket)
    const answer = server.onUpgrade(entry)
    if (answer === 'hang') return hang(socket)
    if (answer !== 101) return socket.end(`HTTP/1.1 ${answer} No\r\nConnection: close\r\n\r\n`)
    const open = (client: ServerSocket) => {
      sockets.add(client)
      seen.push({ what: 'open', page, n })
      client.on('error', () => {})
      client.on('close', (code, reason) => {
        sockets.delete(client)
        seen.push({ what: 'close', page, n, code, within: reason.toString() === 'within' })
      })
      server.onOpen(client)
    }
    if (server.upgradeDelay) {
      setTimeout(() => ws.handleUpgrade(request, socket, head, open), server.upgradeDelay)
    } else {
      ws.handleUpgrade(request, socket, head, open)
    }
    return undefined
  })

  await new Promise<void>(resolve => http.listen(0, '127.0.0.1', resolve))
  server.port = (http.address() as AddressInfo).port
  server.url = `http://127.0.0.1:${server.port}`
  return server
}

const source = fileURLToPath(new URL('../../../lib/client', import.meta.url))

export async function buildScript(minify: boolean): Promise<string> {
  const { outputFiles } = await build({
    stdin: { contents: `export { connect } from './index.ts'`, resolveDir: source, loader: 'ts' },
    bundle: true,
    minify,
    write: false,
    format: 'esm',
    platform: 'browser',
    target: 'es2020',
  })
  return outputFiles[0]?.text.trim() ?? ''
}

let script: string
let browser: TestBrowser
export let server: Server
export let context: BrowserContext

/** A document that has not called `connect` yet. */
export async function openTab(url = server.url): Promise<Tab> {
  const tab = await context.newPage()
  await tab.goto(url)
  return tab
}

// As text, since a compiler's helpers aren't available in the page.
const stoppedTabScript = `
  Math.random = () => 0

  // What the page waits for, and how many waits it has started: see settle and advance.
  window.busy = 0
  window.begun = 0
  const send = fetch
  window.fetch = async (...args) => {
    busy++
    begun++
    try {
      const response = await send(...args)
      const text = await response.text()
      return Object.assign(response, { json: async () => JSON.parse(text) })
    } finally {
      busy--
    }
  }
  window.WebSocket = class extends WebSocket {
    constructor(url) {
      super(url)
      busy++
      begun++
      const settled = new Promise(resolve => {
        this.addEventListener('open', resolve)
        this.addEventListener('close', resolve)
      })
      settled.then(() => busy--)
    }
  }
`

/** The clock of its pages only advances by `advance`, and randomness always selects the longest delay of a backoff. */
export async function openStoppedTab(): Promise<Tab> {
  const tab = await context.newPage()
  await tab.addInitScript({ content: stoppedTabScript })
  await tab.clock.install({ time: 0 })
  await tab.goto(server.url)
  await tab.clock.pauseAt(60 * second)
  return tab
}

/** Calls `connect` and records the events. Doesn't wait for its promise. */
export async function callConnect(tab: Tab, base?: string): Promise<void> {
  await tab.evaluate(async base => {
    const client: string = '/client.js'
    const { connect } = await import(client)
    window.changes = []
    window.isResolved = false
    window.gradio = connect(base)
    void window.gradio.then(page => {
      window.isResolved = true
      for (const type of ['connected', 'disconnected'] as const) {
        page.addEventListener(type, event => window.changes.push([type, event.detail.reason ?? null]))
      }
    })
  }, base)
}

export const changes = (tab: Tab) => tab.evaluate(() => window.changes)
export const idOf = (tab: Tab) => tab.evaluate(async () => (await window.gradio).id)
export const isConnected = (tab: Tab) => tab.evaluate(async () => (await window.gradio).connected)
export const isResolved = (tab: Tab) => tab.evaluate(() => window.isResolved)

/** Waits until everything in flight between the server and the page has arrived, except what the server leaves unanswered. */
export async function settle(tab: Tab): Promise<void> {
  for (let round = 0, isQuiet = false; round < 1000 && !isQuiet; round++) {
    const { length } = server.seen
    const wasQuiet = await tab.evaluate(async hanging => {
      for (let times = 0; times < 2; times++) {
        const request = new XMLHttpRequest()
        request.open('GET', '/nothing')
        await new Promise(resolve => {
          request.onload = resolve
          request.send()
        })
        if ((window.busy ?? hanging) !== hanging) return false
      }
      return true
    }, server.hanging)
    isQuiet = wasQuiet && server.seen.length === length
  }
}

/** Advances the time in the page, and after each `step` waits for requests and responses. */
export async function advance(tab: Tab, seconds: number, step = 1): Promise<void> {
  const progress = () => tab.evaluate(() => [window.busy ?? 0, window.begun ?? 0] as const)
  let [, before] = await progress()
  for (let left = seconds; left > 0; left -= step) {
    await tab.clock.runFor(Math.min(left, step) * second)
    const [busy, begun] = await progress()
    // Most steps send nothing.
    if (begun > before || busy !== server.hanging || left <= step) await settle(tab)
    before = begun
  }
}

/** The times in seconds, on the page's clock, at which the server received something. */
export async function timesOf(tab: Tab, what: Seen['what'], seconds: number): Promise<number[]> {
  const times: number[] = []
  let count = server.count(what)
  // So that no timer is due exactly at the end of a step.
  await advance(tab, 0.5)
  for (let at = 1; at <= seconds; at++) {
    await advance(tab, 1)
    for (; count < server.count(what); count++) times.push(at)
  }
  return times
}

export const isOpen = () => server.sockets.size === 1

export async function openConnected(base?: string, isReady = isOpen): Promise<Tab> {
  const tab = await openTab()
  await callConnect(tab, base)
  await until(isReady, 'the socket opens')
  return tab
}

export async function openStoppedConnected(): Promise<Tab> {
  const tab = await openStoppedTab()
  await callConnect(tab)
  await until(isOpen, 'the socket opens')
  await settle(tab)
  return tab
}

/** Declares tests with a Chromium. */
export function describeClient(name: string, define: () => void, settings?: BrowserSettings): void {
  describe(name, () => {
    const own = useBrowser(settings)
    before(async () => {
      browser = own
      script = await buildScript(false)
    })
    define()
  })
}

/** Declares a test that has a {@link server} and a {@link context}. */
export function each(name: string, run: () => Promise<void>): void {
  it(name, { timeout: 240 * second }, async () => {
    server = await startServer()
    context = await browser.newContext()
    try {
      await run()
      assert.deepEqual(server.badTickets, [], 'each ticket was used once')
    } finally {
      await context.close()
      await server.close()
    }
  })
}
