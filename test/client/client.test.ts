import assert from 'node:assert/strict'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Duplex } from 'node:stream'
import { before, describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import { build } from 'esbuild'
import type { BrowserContext, Page as Tab } from 'playwright-core'
import { type WebSocket as ServerSocket, WebSocketServer } from 'ws'
import { connect, type Page } from '../../lib/client/index.ts'
import { until, useBrowser } from '../support/browser/browser.ts'

const maxGzipSize = 2048
const second = 1000

/** What the server saw: a POST, an upgrade, a socket that opened or closed, a goodbye. */
interface Seen {
  what: 'post' | 'upgrade' | 'open' | 'close' | 'bye'
  page: string
  n: number
  code?: number
  /** Whether the goodbye, or the reason of the close, says that the next page is of the same origin. */
  within?: boolean
  cookie?: string | undefined
  /** The header that proves the same origin. */
  proof?: unknown
  method?: string | undefined
}

type Answer = number | 'hang'
type Server = Awaited<ReturnType<typeof startServer>>

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

/** Speaks the server's side of the protocol, and does with a POST or an upgrade what the test asks for. */
async function startServer({ prefix = '/gradio_api', allowOrigin = '' } = {}) {
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
    /** What a POST is answered: 200 brings a ticket. */
    onPost: (_seen: Seen): Answer => 200,
    /** What an upgrade is answered: 101 opens the socket. */
    onUpgrade: (_seen: Seen): Answer => 101,
    upgradeDelay: 0,
    onOpen: (_socket: ServerSocket): void => {},
    /** POSTs and upgrades that were left without an answer. */
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
    }
    const bye = parse(request, 'pagehide')
    if (bye) {
      seen.push({ ...bye, what: 'bye', method: request.method })
      response.writeHead(204).end()
      return
    }
    const beat = parse(request, 'heartbeat')
    if (beat) {
      seen.push({ ...beat, method: request.method, proof: request.headers['gradio-state'] })
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

const source = fileURLToPath(new URL('../../lib/client', import.meta.url))

async function buildScript(minify: boolean): Promise<string> {
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
const browser = useBrowser()
let server: Server
let context: BrowserContext

/** A document that has not called `connect` yet. */
async function openTab(url = server.url): Promise<Tab> {
  const tab = await context.newPage()
  await tab.goto(url)
  return tab
}

// As text, since a compiler's helpers don't reach the page.
const stoppedTabScript = `
  Math.random = () => 0

  // What the page waits for, and how much it has begun to wait for: see settle and advance.
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

/** The clock of its pages stands still but for `advance`, and chance always takes the longest delay of a backoff. */
async function openStoppedTab(): Promise<Tab> {
  const tab = await context.newPage()
  await tab.addInitScript({ content: stoppedTabScript })
  await tab.clock.install({ time: 0 })
  await tab.goto(server.url)
  await tab.clock.pauseAt(60 * second)
  return tab
}

/** Calls `connect` and notes the events. Doesn't wait for its promise. */
async function callConnect(tab: Tab, base?: string): Promise<void> {
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

const changes = (tab: Tab) => tab.evaluate(() => window.changes)
const idOf = (tab: Tab) => tab.evaluate(async () => (await window.gradio).id)
const isConnected = (tab: Tab) => tab.evaluate(async () => (await window.gradio).connected)
const isResolved = (tab: Tab) => tab.evaluate(() => window.isResolved)

/** Lets what is on its way between the server and the page arrive, but for what the server leaves hanging. */
async function settle(tab: Tab): Promise<void> {
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

/** Lets time pass in the page, with what is sent and answered after each `step`. */
async function advance(tab: Tab, seconds: number, step = 1): Promise<void> {
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

/** Numbers of seconds, counted while the clock of the page advances, at which the server saw something. */
async function timesOf(tab: Tab, what: Seen['what'], seconds: number): Promise<number[]> {
  const times: number[] = []
  let count = server.count(what)
  // So that no timer is due just where a step ends.
  await advance(tab, 0.5)
  for (let at = 1; at <= seconds; at++) {
    await advance(tab, 1)
    for (; count < server.count(what); count++) times.push(at)
  }
  return times
}

const isOpen = () => server.sockets.size === 1

async function openConnected(): Promise<Tab> {
  const tab = await openTab()
  await callConnect(tab)
  await until(isOpen, 'the socket opens')
  return tab
}

async function openStoppedConnected(): Promise<Tab> {
  const tab = await openStoppedTab()
  await callConnect(tab)
  await until(isOpen, 'the socket opens')
  await settle(tab)
  return tab
}

describe('client', () => {
  before(async () => {
    script = await buildScript(false)
  })

  const each = (name: string, run: () => Promise<void>): void => {
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

  describe('the module', () => {
    it('can be imported in Node, where connect() rejects and says why', async () => {
      await assert.rejects(connect(), /needs a browser/)
    })

    it(`has at most ${maxGzipSize} bytes, minified and gzipped`, async () => {
      const { length } = gzipSync(await buildScript(true))
      assert.ok(length <= maxGzipSize, `${length} bytes`)
    })

    each('rejects a base that is no http address', async () => {
      const tab = await openTab()
      const message = await tab.evaluate(async () => {
        const client: string = '/client.js'
        const { connect } = await import(client)
        return connect('file:///gradio_api').catch((error: Error) => `${error.name}: ${error.message}`)
      })
      assert.equal(message, 'TypeError: Expected an http(s) base, received file:///gradio_api')
    })

    each('gives one promise for one base, also to a second copy of itself', async () => {
      const tab = await openTab()
      await callConnect(tab)
      const same = await tab.evaluate(async () => {
        const [client, copy]: string[] = ['/client.js', '/copy.js']
        const one = await import(client as string)
        const two = await import(copy as string)
        return [
          one.connect === two.connect,
          one.connect('/gradio_api') === window.gradio,
          one.connect(new URL('/gradio_api/?a#b', location.href)) === window.gradio,
          two.connect() === window.gradio,
          one.connect('/elsewhere') === window.gradio,
        ]
      })
      assert.deepEqual(same, [false, true, true, true, false])
      await until(isOpen, 'the socket opens')
      await settle(tab)
      assert.equal(server.count('post'), 1)
    })

    each('listens to neither unload nor beforeunload', async () => {
      const tab = await context.newPage()
      await tab.addInitScript(() => {
        window.listeners = []
        const { addEventListener } = EventTarget.prototype
        EventTarget.prototype.addEventListener = function (...args) {
          window.listeners.push(args[0])
          addEventListener.apply(this, args)
        }
      })
      await tab.goto(server.url)
      await callConnect(tab)
      await until(isOpen, 'the socket opens')
      const { listeners, handlers } = await tab.evaluate(() => ({
        listeners: window.listeners,
        handlers: [window.onunload, window.onbeforeunload],
      }))
      assert.ok(listeners.includes('pagehide'))
      assert.ok(!listeners.includes('unload') && !listeners.includes('beforeunload'))
      assert.deepEqual(handlers, [null, null])
    })
  })

  describe('opening', () => {
    each('posts, has the cookie, and opens a socket with the ticket', async () => {
      const tab = await openConnected()
      const [post, upgrade, open, ...more] = server.seen
      const id = await idOf(tab)
      assert.match(id, /^[A-Za-z0-9_-]{1,64}$/)
      assert.deepEqual(post, {
        what: 'post',
        page: id,
        n: 1,
        cookie: undefined,
        method: 'POST',
        proof: 'page',
      })
      assert.deepEqual(upgrade, { what: 'upgrade', page: id, n: 1 })
      assert.deepEqual(open, { what: 'open', page: id, n: 1 })
      assert.deepEqual(more, [])
      assert.equal(await isConnected(tab), true)
      assert.equal((await context.cookies())[0]?.name, 'visitor')
    })

    each('resolves when the first POST was answered, before there is a socket', async () => {
      server.onUpgrade = () => 'hang'
      const tab = await openTab()
      await callConnect(tab)
      await tab.evaluate(() => window.gradio)
      assert.equal(await isConnected(tab), true)
      assert.equal((await context.cookies()).length, 1)
      assert.equal(server.count('open'), 0)
    })

    each('keeps trying until a POST is answered, and only then resolves', async () => {
      server.onPost = () => 503
      const tab = await openStoppedTab()
      await callConnect(tab)
      await advance(tab, 20)
      assert.ok(server.count('post') > 2)
      assert.equal(await isResolved(tab), false)
      server.onPost = () => 200
      await advance(tab, 60)
      assert.equal(await isResolved(tab), true)
    })

    each('works on an origin that is not secure', async () => {
      const tab = await openTab(`http://app.test:${server.port}/`)
      assert.equal(await tab.evaluate(() => isSecureContext || 'randomUUID' in crypto), false)
      await callConnect(tab)
      await until(isOpen, 'the socket opens')
      const id = await idOf(tab)
      await tab.close()
      await until(() => server.count('bye') === 1, 'the goodbye')
      assert.equal(server.all('bye')[0]?.page, id)
      assert.deepEqual(
        server.all('post').map(({ proof }) => proof),
        ['page'],
      )
    })

    each('works with routes of another origin, with their cookie', async () => {
      const routes = await startServer({ prefix: '/app/routes', allowOrigin: server.url })
      try {
        const tab = await openTab()
        await callConnect(tab, `${routes.url}/app/routes/`)
        await until(() => routes.sockets.size === 1, 'the socket opens')
        const id = await idOf(tab)
        for (const socket of routes.sockets) socket.terminate()
        await until(() => routes.count('open') === 2, 'the socket opens again')
        await tab.close()
        await until(() => routes.count('bye') === 1, 'the goodbye')
        assert.deepEqual(
          // The header would need a preflight.
          routes.all('post').map(({ method, cookie, proof }) => [method, cookie, proof]),
          [
            ['POST', undefined, undefined],
            ['POST', 'visitor=1', undefined],
          ],
        )
        assert.deepEqual(routes.all('bye'), [
          { what: 'bye', page: id, n: 1, cookie: 'visitor=1', method: 'POST' },
        ])
        assert.deepEqual(server.seen, [])
      } finally {
        await routes.close()
      }
    })

    each('waits until a prerendered page is shown', async () => {
      const tab = await context.newPage()
      // Stands in for a browser's prerendering, which no automation can ask for.
      await tab.addInitScript(() => {
        Object.defineProperty(document, 'prerendering', { value: true, writable: true })
      })
      await tab.goto(server.url)
      await callConnect(tab)
      await tab.evaluate(() => {
        dispatchEvent(new PageTransitionEvent('pageshow'))
        dispatchEvent(new Event('online'))
        dispatchEvent(new PageTransitionEvent('pagehide'))
      })
      await settle(tab)
      assert.deepEqual(server.seen, [])
      await tab.evaluate(() => document.dispatchEvent(new Event('prerenderingchange')))
      await until(isOpen, 'the socket opens')
    })
  })

  describe('the page id', () => {
    each('differs between two tabs', async () => {
      const tabs = [await openTab(), await openTab()]
      for (const tab of tabs) await callConnect(tab)
      const ids = await Promise.all(tabs.map(idOf))
      assert.notEqual(ids[0], ids[1])
    })

    each('is new after a reload, and the old one has said goodbye', async () => {
      const tab = await openConnected()
      const id = await idOf(tab)
      await tab.reload()
      await callConnect(tab)
      const next = await idOf(tab)
      assert.notEqual(next, id)
      await until(() => server.count('bye') === 1 && isOpen(), 'one page went and one came')
      assert.equal(server.all('bye')[0]?.page, id)
      assert.equal(server.all('open').at(-1)?.page, next)
    })

    each('is in no storage that a duplicated tab gets a copy of', async () => {
      const tab = await openConnected()
      assert.deepEqual(await tab.evaluate(() => [sessionStorage.length, localStorage.length, name]), [
        0,
        0,
        '',
      ])
    })
  })

  describe('a lost socket', () => {
    each('is replaced at once by the same page, with a new ticket and without an event', async () => {
      const tab = await openConnected()
      const id = await idOf(tab)
      server.socket().terminate()
      await until(() => server.count('open') === 2, 'the socket opens again')
      assert.deepEqual(
        server.seen.map(({ what, page, n }) => [what, page === id, n]),
        ['post', 'upgrade', 'open', 'close', 'post', 'upgrade', 'open'].map(what => [what, true, 1]),
      )
      assert.deepEqual(await changes(tab), [])
    })

    each('is replaced at once as often as it had lasted', async () => {
      const tab = await openStoppedConnected()
      for (let losses = 1; losses <= 3; losses++) {
        await advance(tab, 25, 10)
        server.socket().send('1')
        await settle(tab)
        server.socket().terminate()
        await until(() => server.count('open') === losses + 1, 'the socket opens again')
        await settle(tab)
      }
      assert.equal(server.count('post'), 4)
    })

    each('is followed by a POST at once, also where the next socket has to wait', async () => {
      const tab = await openStoppedConnected()
      const sawAfterLoss: Seen['what'][][] = []
      for (let losses = 0; losses < 3; losses++) {
        server.seen.length = 0
        server.socket().terminate()
        await until(() => server.count('post') === 1, 'the POST')
        await settle(tab)
        sawAfterLoss.push(server.seen.map(({ what }) => what))
        await advance(tab, 5)
        await until(isOpen, 'the socket opens again')
        await settle(tab)
      }
      assert.deepEqual(sawAfterLoss, [
        ['close', 'post', 'upgrade', 'open'],
        ['close', 'post'],
        ['close', 'post'],
      ])
      assert.deepEqual(await changes(tab), [])
    })

    each('is noticed by 70 s of silence, and not sooner', async () => {
      const tab = await openStoppedConnected()
      await advance(tab, 60, 10)
      server.socket().send('1')
      await settle(tab)
      await advance(tab, 69, 10)
      assert.equal(server.count('post'), 1)
      await advance(tab, 2)
      await until(() => server.count('open') === 2, 'the socket opens again')
      await settle(tab)
      await until(() => server.count('close') === 1, 'the old socket was closed')
      assert.equal(server.count('post'), 2)
      assert.notEqual(server.all('close')[0]?.code, 1000, 'which would be a goodbye')
      assert.deepEqual(await changes(tab), [])
    })

    each('needs no heartbeat while it is open', async () => {
      const tab = await openStoppedConnected()
      for (let minute = 0; minute < 3; minute++) {
        await advance(tab, 60, 10)
        server.socket().send('1')
        await settle(tab)
      }
      assert.equal(server.count('post'), 1)
    })

    each('reports when the server cannot be reached, and again when it can', async () => {
      const tab = await openStoppedConnected()
      server.onPost = () => 502
      server.socket().terminate()
      await until(async () => (await changes(tab)).length === 1, 'the event')
      assert.equal(await isConnected(tab), false)
      server.onPost = () => 200
      await advance(tab, 4)
      await until(isOpen, 'the socket opens again')
      assert.deepEqual(await changes(tab), [
        ['disconnected', null],
        ['connected', null],
      ])
      assert.equal(await isConnected(tab), true)
    })
  })

  describe('a POST that fails', () => {
    each('is repeated after 2, 4, 8, 16, 32 and then every 60 seconds', async () => {
      server.onPost = () => 500
      const tab = await openStoppedTab()
      await callConnect(tab)
      await until(() => server.count('post') === 1, 'the first POST')
      await settle(tab)
      assert.deepEqual(await timesOf(tab, 'post', 185), [2, 6, 14, 30, 62, 122, 182])
    })

    each('is given up after 10 s without an answer', async () => {
      server.onPost = () => 'hang'
      const tab = await openStoppedTab()
      await callConnect(tab)
      await until(() => server.count('post') === 1, 'the first POST')
      assert.deepEqual(await timesOf(tab, 'post', 13), [12])
      assert.equal(server.hanging, 1, 'the connection of the first was closed')
    })

    each('is also one that was answered with anything but a ticket', async () => {
      const tab = await openStoppedTab()
      const bodies = ['null', '{}', '<p>Please sign in to this Wi-Fi</p>']
      await tab.route('**/heartbeat/**', route => {
        const body = bodies.shift()
        return body ? route.fulfill({ status: 200, body }) : route.continue()
      })
      await callConnect(tab)
      await settle(tab)
      await advance(tab, 13)
      assert.equal(await isResolved(tab), false)
      await advance(tab, 2)
      await until(isOpen, 'the socket opens')
      assert.equal(server.count('post'), 1)
    })

    each('with 409 is repeated at once in the next epoch', async () => {
      server.onPost = ({ n }) => (n < 2 ? 409 : 200)
      const tab = await openStoppedTab()
      await callConnect(tab)
      await until(isOpen, 'the socket opens')
      const id = await idOf(tab)
      assert.deepEqual(
        server.seen.map(({ what, page, n }) => [what, page === id, n]),
        [
          ['post', true, 1],
          ['post', true, 2],
          ['upgrade', true, 2],
          ['open', true, 2],
        ],
      )
      await tab.close()
      await until(() => server.count('bye') === 1, 'the goodbye')
      assert.equal(server.all('bye')[0]?.n, 2)
    })

    each('with 409 time and again is no storm', async () => {
      server.onPost = () => 409
      const tab = await openStoppedTab()
      await callConnect(tab)
      await until(() => server.count('post') === 2, 'the second POST')
      await settle(tab)
      assert.deepEqual(await timesOf(tab, 'post', 15), [4, 12])
    })
  })

  describe('where sockets do not open', () => {
    each('beats every 20 s and seldom tries a socket', async () => {
      server.onUpgrade = () => 403
      const tab = await openStoppedTab()
      await callConnect(tab)
      await until(() => server.count('upgrade') === 2, 'the first socket and its repetition')
      await settle(tab)
      assert.equal(server.count('post'), 2)
      const posts: number[] = []
      const dials: number[] = []
      await advance(tab, 0.5)
      for (let at = 1; at <= 150; at++) {
        const before = [server.count('post'), server.count('upgrade')] as const
        await advance(tab, 1)
        if (server.count('post') > before[0]) posts.push(at)
        if (server.count('upgrade') > before[1]) dials.push(at)
      }
      assert.deepEqual(dials, [2, 6, 14, 30, 62, 126])
      for (const [index, at] of posts.entries()) {
        assert.ok(at - (posts[index - 1] ?? 0) <= 20, `a POST at ${at}, in ${posts}`)
      }
      assert.ok(posts.length <= 12, `${posts}`)
      assert.equal(await isConnected(tab), true)
      assert.deepEqual(await changes(tab), [])
    })

    each('takes a socket as soon as one can be had', async () => {
      server.onUpgrade = () => 403
      const tab = await openStoppedTab()
      await callConnect(tab)
      await until(() => server.count('upgrade') === 2, 'the first socket and its repetition')
      await settle(tab)
      await advance(tab, 40)
      server.onUpgrade = () => 101
      await advance(tab, 25)
      await until(isOpen, 'the socket opens')
      const posts = server.count('post')
      await advance(tab, 45)
      assert.equal(server.count('post'), posts, 'no more heartbeats')
    })

    each('gives up a handshake after 10 s', async () => {
      server.onUpgrade = () => 'hang'
      const tab = await openStoppedTab()
      await callConnect(tab)
      await until(() => server.count('upgrade') === 1, 'the handshake')
      await settle(tab)
      await advance(tab, 9)
      assert.equal(server.count('post'), 1)
      server.onUpgrade = () => 101
      await advance(tab, 2)
      await until(isOpen, 'the socket opens')
      assert.equal(server.count('post'), 2)
      assert.deepEqual(await changes(tab), [])
    })

    each('waits for a slow handshake', async () => {
      const tab = await openTab()
      server.upgradeDelay = 2 * second
      await callConnect(tab)
      await until(isOpen, 'the socket opens')
      await settle(tab)
      assert.deepEqual(
        server.seen.map(({ what }) => what),
        ['post', 'upgrade', 'open'],
      )
    })

    each('is no storm when each one opens and is cut at once', async () => {
      server.onOpen = socket => socket.terminate()
      const tab = await openStoppedTab()
      await callConnect(tab)
      await until(() => server.count('upgrade') === 2, 'the first socket and its repetition')
      await settle(tab)
      await advance(tab, 60)
      assert.equal(server.count('upgrade'), 6)
      assert.ok(server.count('post') <= 14, `${server.count('post')} POSTs`)
      assert.equal(await isConnected(tab), true)
    })

    each('beats also where a policy forbids them', async () => {
      const tab = await openStoppedTab()
      await tab.evaluate(() => {
        window.WebSocket = class {
          constructor() {
            throw new DOMException('Not allowed', 'SecurityError')
          }
        } as unknown as typeof WebSocket
      })
      await callConnect(tab)
      await until(() => server.count('post') === 2, 'the first POST and its repetition')
      await settle(tab)
      await advance(tab, 60)
      assert.ok(server.count('post') >= 5 && server.count('post') < 12)
      assert.equal(await isConnected(tab), true)
    })
  })

  describe('a socket that the server closes', () => {
    each('with 4000: the reason is reported, then the page connects again', async () => {
      const tab = await openStoppedConnected()
      const id = await idOf(tab)
      server.socket().close(4000, 'expired')
      await until(async () => (await changes(tab)).length === 1, 'the event')
      assert.deepEqual(await changes(tab), [['disconnected', 'expired']])
      assert.equal(await isConnected(tab), false)
      await advance(tab, 2)
      await until(() => server.count('open') === 2, 'the socket opens again')
      await settle(tab)
      assert.deepEqual((await changes(tab)).at(-1), ['connected', null])
      assert.equal(server.all('post')[1]?.page, id)
    })

    each('with 4000: the answer that brings the next session has half a second', async () => {
      const tab = await openStoppedConnected()
      server.socket().close(4000, 'regenerated')
      await until(async () => (await changes(tab)).length === 1, 'the event')
      await advance(tab, 0.4)
      assert.equal(server.count('post'), 1)
      await advance(tab, 0.2)
      await until(() => server.count('open') === 2, 'the socket opens again')
    })

    each('with 1012: the page is soon back', async () => {
      const tab = await openStoppedConnected()
      const id = await idOf(tab)
      server.socket().close(1012)
      await until(async () => (await changes(tab)).length === 1, 'the event')
      await advance(tab, 2)
      await until(() => server.count('open') === 2, 'the socket opens again')
      assert.equal(server.all('open')[1]?.page, id)
      await settle(tab)
      assert.deepEqual(await changes(tab), [
        ['disconnected', null],
        ['connected', null],
      ])
    })
  })

  describe('waking', () => {
    const wakes: Record<string, () => void> = {
      'the network returns': () => dispatchEvent(new Event('online')),
      'the tab is shown': () => document.dispatchEvent(new Event('visibilitychange')),
      'the tab is thawed': () => document.dispatchEvent(new Event('resume')),
    }

    for (const [when, wake] of Object.entries(wakes)) {
      each(`tries again at once when ${when}`, async () => {
        const tab = await openStoppedConnected()
        server.onPost = () => 502
        server.socket().terminate()
        await advance(tab, 30)
        server.onPost = () => 200
        const posts = server.count('post')
        await tab.evaluate(wake)
        await until(isOpen, 'the socket opens again')
        assert.equal(server.count('post'), posts + 1)
      })

      each(`replaces a socket that was silent for 30 s when ${when}`, async () => {
        const tab = await openStoppedConnected()
        for (let frame = 0; frame < 2; frame++) {
          server.socket().send('1')
          await settle(tab)
          await advance(tab, 29, 10)
          await tab.evaluate(wake)
          await settle(tab)
        }
        assert.equal(server.count('post'), 1)
        await advance(tab, 2)
        await tab.evaluate(wake)
        await until(() => server.count('open') === 2, 'the socket opens again')
        assert.equal(server.count('post'), 2)
      })
    }

    each('does nothing when the tab is hidden', async () => {
      server.onUpgrade = () => 403
      const tab = await openStoppedTab()
      await callConnect(tab)
      await until(() => server.count('upgrade') === 2, 'the first socket and its repetition')
      await settle(tab)
      await tab.evaluate(() => {
        Object.defineProperty(document, 'hidden', { value: true })
        document.dispatchEvent(new Event('visibilitychange'))
      })
      await settle(tab)
      assert.equal(server.count('post'), 2)
    })

    each('leaves the first POST alone: a second would make a second session', async () => {
      server.onPost = () => 'hang'
      const tab = await openTab()
      await callConnect(tab)
      await until(() => server.count('post') === 1, 'the first POST')
      for (const wake of Object.values(wakes)) await tab.evaluate(wake)
      await settle(tab)
      assert.equal(server.count('post'), 1)
    })
  })

  describe('leaving', () => {
    each('says goodbye when the tab is closed', async () => {
      const tab = await openConnected()
      const id = await idOf(tab)
      await tab.close()
      await until(() => server.count('bye') === 1 && server.count('close') === 1, 'the goodbye')
      assert.deepEqual(server.all('bye'), [
        { what: 'bye', page: id, n: 1, cookie: 'visitor=1', method: 'POST' },
      ])
      assert.equal(server.count('post'), 1, 'nothing after it')
    })

    each('says goodbye when the page is left for another site, and closes the socket with 1000', async () => {
      const tab = await openStoppedConnected()
      const id = await idOf(tab)
      await tab.goto(`http://app.test:${server.port}/`)
      await until(() => server.count('bye') === 1 && server.count('close') === 1, 'the goodbye')
      assert.equal(server.all('bye')[0]?.page, id)
      assert.equal(server.all('close')[0]?.code, 1000)
    })

    const leave: Record<string, [(tab: Tab) => Promise<unknown>, within: boolean]> = {
      'a reload': [tab => tab.reload(), true],
      'a reload by a script': [tab => run(tab, 'location.reload()'), true],
      'a link': [tab => run(tab, 'element("a", { href: "/next" }).click()'), true],
      'a form': [tab => run(tab, 'element("form", { method: "post", action: "/next" }).submit()'), true],
      'an address of the same origin': [tab => tab.goto(`${server.url}/next`), true],
      'the page before': [tab => run(tab, 'history.back()'), true],
      'a link to another host': [
        tab => run(tab, `element("a", { href: "http://app.test:${server.port}" }).click()`),
        false,
      ],
      'a closed tab': [tab => tab.close({ runBeforeUnload: true }), false],
    }
    const run = (tab: Tab, script: string) =>
      tab.evaluate(`{
        const element = (name, attributes) => document.body.appendChild(Object.assign(document.createElement(name), attributes))
        setTimeout(() => ${script})
      }`)
    for (const [name, [move, within]] of Object.entries(leave)) {
      each(
        `says ${within ? 'that the next page is of the same origin' : 'nothing more'}: ${name}`,
        async () => {
          const tab = await openTab(`${server.url}/before`)
          await tab.goto(server.url)
          await callConnect(tab)
          await until(isOpen, 'the socket opens')
          await move(tab)
          await until(() => server.count('bye') === 1 && server.count('close') === 1, 'the goodbye')
          assert.deepEqual(
            [
              server.all('bye')[0]?.within ?? false,
              server.all('close')[0]?.within,
              server.all('close')[0]?.code,
            ],
            [within, within, 1000],
          )
        },
      )
    }

    each('calls nothing before the beacon, and sends nothing after it', async () => {
      const tab = await openStoppedTab()
      await callConnect(tab)
      await until(isOpen, 'the socket opens')
      await settle(tab)
      const calls = await tab.evaluate(() => {
        const calls: string[] = []
        const targets: [object, string][] = [
          [navigator, 'sendBeacon'],
          [WebSocket.prototype, 'close'],
          [window, 'clearTimeout'],
          [EventTarget.prototype, 'dispatchEvent'],
          [Date, 'now'],
        ]
        for (const [target, name] of targets) {
          const original = Reflect.get(target, name)
          Reflect.set(target, name, function (this: unknown, ...args: unknown[]) {
            calls.push(name)
            return original.apply(this, args)
          })
        }
        window.dispatchEvent(new PageTransitionEvent('pagehide'))
        return calls
      })
      assert.equal(calls[1], 'sendBeacon', `after the test's own dispatchEvent: ${calls}`)
      assert.ok(calls.includes('close'))
      // On the close of a visible tab it comes after `pagehide`.
      await tab.evaluate(() => document.dispatchEvent(new Event('visibilitychange')))
      await tab.evaluate(() => document.dispatchEvent(new Event('resume')))
      await tab.evaluate(() => window.dispatchEvent(new Event('online')))
      await advance(tab, 80)
      assert.equal(server.count('post'), 1)
      assert.equal(server.count('bye'), 1)
      assert.equal(server.count('open'), 1)
      assert.deepEqual(await changes(tab), [['disconnected', 'pagehide']])
    })

    each('gives up a POST that is under way, and its connection', async () => {
      server.onPost = () => 'hang'
      const tab = await openStoppedTab()
      await callConnect(tab)
      await until(() => server.count('post') === 1, 'the first POST')
      await tab.evaluate(() => {
        window.dispatchEvent(new PageTransitionEvent('pagehide'))
      })
      await until(() => server.hanging === 0, 'the connection is closed')
      await advance(tab, 60, 5)
      assert.equal(server.count('post'), 1)
    })

    each('still closes the socket where beacons were taken away', async () => {
      const tab = await openStoppedConnected()
      await tab.evaluate(() => {
        Object.defineProperty(navigator, 'sendBeacon', { value: undefined })
        window.dispatchEvent(new PageTransitionEvent('pagehide'))
      })
      await until(() => server.count('close') === 1, 'the socket is closed')
      assert.equal(server.all('close')[0]?.code, 1000)
    })
  })

  describe('the back/forward cache', () => {
    each('keeps the page, which returns in its next epoch with one socket', async () => {
      const tab = await openTab()
      await tab.evaluate(() => {
        window.shows = []
        addEventListener('pageshow', ({ persisted }) => window.shows.push(persisted))
      })
      await callConnect(tab)
      await until(isOpen, 'the socket opens')
      const id = await idOf(tab)
      for (const n of [2, 3, 4]) {
        await tab.goto(`${server.url}/elsewhere`)
        await until(() => server.count('bye') === n - 1 && server.sockets.size === 0, 'the goodbye')
        await tab.goBack({ waitUntil: 'commit' })
        await until(isOpen, 'the socket opens again')
        assert.equal(await idOf(tab), id)
        assert.equal((await tab.evaluate(() => window.shows)).at(-1), true)
        assert.deepEqual(
          [server.all('bye'), server.all('post'), server.all('open')].map(all => all.at(-1)?.n),
          [n - 1, n, n],
        )
      }
      await settle(tab)
      assert.equal(server.sockets.size, 1)
      assert.equal(server.count('post'), 4)
      assert.equal(new Set(server.seen.map(({ page }) => page)).size, 1)
      assert.equal(await isConnected(tab), true)
    })

    each('keeps a page whose first POST was not answered yet', async () => {
      server.onPost = () => 'hang'
      const tab = await openTab()
      await callConnect(tab)
      await until(() => server.count('post') === 1, 'the first POST')
      await tab.goto(`${server.url}/elsewhere`)
      server.onPost = () => 200
      await tab.goBack({ waitUntil: 'commit' })
      await until(isOpen, 'the socket opens')
      assert.equal(await isConnected(tab), true)
      assert.equal(server.all('open')[0]?.n, 2)
    })
  })
})
