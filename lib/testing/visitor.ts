import { once } from 'node:events'
import { WebSocket } from 'ws'
import { originOf, type VisitedApp } from './app-server.js'

/** A user with a browser, from the server's point of view: cookies, requests and pages. */
export interface Visitor {
  /** The cookies by name, as the server has set them. */
  readonly cookies: Map<string, string>
  /** Sends a request with the cookies, and stores the cookies of the response. */
  fetch(path: string, init?: RequestInit): Promise<Response>
  /** Opens a page, as `client.js` does: it counts until it is closed or crashes. */
  openPage(options?: TestPageOptions): Promise<TestPage>
}

export interface TestPageOptions {
  /** The path of the library's routes. @default '/gradio_api' */
  path?: string
  /** @default a new one */
  id?: string
  /** The id of its tab, which it names when it opens. Requests name it in the header `Gradio-State-Tab`. @default none */
  tab?: string
  /** The epoch of the page: one more with each return from the back/forward cache. @default 1 */
  epoch?: number
  /** Without a socket the page is only kept open by `beat()`, as behind a proxy without WebSockets. @default true */
  socket?: boolean
}

/** A page in a browser, from the server's point of view. */
export interface TestPage {
  readonly id: string
  /** Resolves with the server's code and reason when the socket is closed. */
  readonly closed: Promise<{ code: number; reason: string }>
  /** Sends a heartbeat. Resolves with the status of the response. */
  beat(): Promise<number>
  /** Closes the page as a browser does when the tab is closed, with a goodbye. Resolves with the status of the response. */
  close(): Promise<number>
  /** Breaks the socket, as when a browser is killed: without a goodbye. */
  crash(): Promise<void>
}

/**
 * A user for tests, whose `fetch` doesn't follow redirects by default. Each visitor has its own cookies. Import it from `gradio-state/testing`.
 * @param app the app, as the result of `express()` or `new Koa()`, a server of Node.js, or an origin such as `'http://localhost:3000'`.
 * An app, or a server that isn't listening yet, is served on a free port from the first request on, without keeping the process alive.
 */
export function visitor(app: VisitedApp): Visitor {
  const cookies = new Map<string, string>()
  const self: Visitor = {
    cookies,
    async fetch(path, init = {}) {
      const headers = new Headers(init.headers)
      if (cookies.size > 0) headers.set('cookie', headerOf(cookies))
      const response = await fetch(new URL(path, await originOf(app)), {
        redirect: 'manual',
        ...init,
        headers,
      })
      for (const line of response.headers.getSetCookie()) keep(cookies, line)
      return response
    },
    openPage: async options => openPage(self, await originOf(app), options),
  }
  return self
}

function headerOf(cookies: Visitor['cookies']): string {
  return [...cookies].map(([name, value]) => `${name}=${value}`).join('; ')
}

/** Values are kept encoded, since they are sent back unchanged. */
function keep(cookies: Map<string, string>, line: string): void {
  const [pair = '', ...attributes] = line.split(/;\s*/)
  const at = pair.indexOf('=')
  const expires = attributes.find(attribute => /^expires=/i.test(attribute))?.slice('expires='.length)
  const isOver =
    attributes.some(attribute => /^max-age=0$/i.test(attribute)) || Date.parse(expires ?? '') < Date.now()
  if (isOver) cookies.delete(pair.slice(0, at))
  else cookies.set(pair.slice(0, at), pair.slice(at + 1))
}

async function openPage(user: Visitor, origin: URL, options: TestPageOptions = {}): Promise<TestPage> {
  const { path = '/gradio_api', id = crypto.randomUUID(), epoch = 1, socket = true, tab } = options
  const headers: Record<string, string> = tab === undefined ? {} : { 'Gradio-State-Tab': tab }
  let ticket = ''
  const heartbeatPath = () => `${path}/heartbeat/${id}?n=${epoch}&ticket=${ticket}`
  const heartbeat = async () => {
    const response = await user.fetch(heartbeatPath(), { method: 'POST', headers })
    const text = await response.text()
    if (response.ok) ticket = (JSON.parse(text) as { ticket: string }).ticket
    return { status: response.status, text }
  }
  const { status, text } = await heartbeat()
  if (status !== 200) throw new Error(`Expected the page to be opened, got ${status}: ${text}`)
  const dialed = socket ? await dial(new URL(heartbeatPath(), origin), user.cookies) : undefined
  const closed = dialed ? closeOf(dialed) : new Promise<never>(() => {})
  return {
    id,
    closed,
    async beat() {
      const { status } = await heartbeat()
      return status
    },
    async close() {
      const answer = await user.fetch(`${path}/pagehide/${id}?n=${epoch}`, { method: 'POST' })
      dialed?.close(1000)
      if (dialed) await closed
      return answer.status
    },
    async crash() {
      dialed?.terminate()
      if (dialed) await closed
    },
  }
}

async function dial(url: URL, cookies: Visitor['cookies']): Promise<WebSocket> {
  url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:'
  const socket = new WebSocket(url, cookies.size > 0 ? { headers: { cookie: headerOf(cookies) } } : {})
  await once(socket, 'open')
  return socket
}

function closeOf(socket: WebSocket): Promise<{ code: number; reason: string }> {
  return new Promise(resolve => {
    socket.once('close', (code, reason) => resolve({ code, reason: reason.toString() }))
    socket.on('error', () => {})
  })
}
