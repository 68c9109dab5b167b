import { createServer, type RequestListener, type Server } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import type { TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import express from 'express'
import session, { MemoryStore } from 'express-session'
import Koa from 'koa'
import koaSession from 'koa-session'
import { koa } from '../../../lib/http/koa.ts'
import { type GradioState, type GradioStateOptions, gradioState } from '../../../lib/index.ts'
import { sessionOf } from '../http/koa.ts'
import { selfSigned } from '../http/self-signed.ts'
import { KoaStore } from '../stores/koa-store.ts'

/** Where a user's session is stored. */
export type SessionKind = 'own cookie' | 'express-session' | 'koa-session'

export interface AppSettings {
  options?: GradioStateOptions
  /** When framework sessions expire, in milliseconds. */
  maxAge?: number
  /** @default 'http:' */
  protocol?: 'http:' | 'https:'
}

/** An app whose server can be killed and started again without its memory. */
export interface RestartableApp {
  readonly port: number
  readonly gradio: GradioState
  /** The ids of the unloaded sessions, including those of earlier servers. */
  readonly unloaded: readonly string[]
  /** How many requests each path has received. */
  readonly requests: ReadonlyMap<string, number>
  /** The ids of the sessions that have an open page. */
  openSessions(): string[]
  kill(): Promise<void>
  start(): Promise<void>
}

type Route = (request: RouteRequest) => Promise<unknown> | unknown

interface RouteRequest {
  readonly state: { get id(): string; set(name: string, value: unknown): unknown }
  readonly query: URLSearchParams
  regenerate(): Promise<void>
  destroy(): Promise<void>
}

const routes: Record<string, Route> = {
  '/use': ({ state }) => state.set('used', true) ?? state.id,
  '/id': ({ state }) => state.id,
  '/slow': async ({ state, query }) => {
    state.set('used', true)
    const { id } = state
    await sleep(Number(query.get('ms')))
    return id
  },
  '/login': async ({ state, regenerate }) => {
    await regenerate()
    return state.id
  },
  '/logout': ({ destroy }) => destroy(),
}

/** Serves the app at a port until the test is over. */
export async function restartableApp(
  t: TestContext,
  kind: SessionKind,
  { options = {}, maxAge, protocol = 'http:' }: AppSettings = {},
): Promise<RestartableApp> {
  const unloaded: string[] = []
  const requests = new Map<string, number>()
  const sockets = new Set<Socket>()
  const page = '<!doctype html><title>page</title><script type="module" src="/gradio_api/client.js"></script>'
  let gradio: GradioState
  let server: Server
  let port = 0

  const make = () => {
    gradio = gradioState(options)
    gradio.unload(({ session }) => void unloaded.push(session.id))
    return kind === 'koa-session' ? koaApp(gradio, page, maxAge) : expressApp(gradio, page, kind, maxAge)
  }

  const start = async () => {
    const app = make()
    const listener: RequestListener = (req, res) => {
      const path = String(req.url)
        .replace(/[?].*/, '')
        .replace(/(heartbeat)\/.*/, '$1')
      requests.set(path, (requests.get(path) ?? 0) + 1)
      app(req, res)
    }
    server = protocol === 'http:' ? createServer(listener) : createTlsServer(selfSigned, listener)
    server.on('connection', socket => {
      sockets.add(socket)
      socket.once('close', () => sockets.delete(socket))
    })
    await new Promise<void>(resolve => server.listen(port, '127.0.0.1', resolve))
    port = (server.address() as AddressInfo).port
  }

  const kill = async () => {
    const closed = new Promise(resolve => server.close(resolve))
    for (const socket of sockets) socket.destroy()
    await closed
    const before = unloaded.length
    await gradio.close({ timeout: 0 })
    // A process that is killed runs no hooks.
    unloaded.length = before
  }

  await start()
  t.after(kill)
  return {
    ...{ unloaded, requests, kill, start },
    get port() {
      return port
    },
    get gradio() {
      return gradio
    },
    openSessions: () => gradio.sessions().flatMap(({ id, pages }) => (pages > 0 ? [id] : [])),
  }
}

function expressApp(gradio: GradioState, page: string, kind: SessionKind, maxAge: number | undefined) {
  const app = express()
  if (kind === 'express-session') {
    const cookie = maxAge === undefined ? {} : { maxAge }
    const store = new MemoryStore()
    app.use(session({ secret: 'a secret', resave: false, saveUninitialized: false, store, cookie }))
  }
  app.use(gradio)
  app.get('/', (_req, res) => void res.send(page))
  for (const [path, route] of Object.entries(routes)) {
    app.get(path, async (req, res) => {
      const promised = (method: 'regenerate' | 'destroy') =>
        new Promise<void>((resolve, reject) => {
          req.session[method](error => (error ? reject(error) : resolve()))
        })
      const { gradioState: state, query } = req
      const result = await route({
        state,
        query: new URLSearchParams(query as Record<string, string>),
        regenerate: () => promised('regenerate'),
        destroy: () => promised('destroy'),
      })
      res.json(result ?? null)
    })
  }
  return app
}

function koaApp(gradio: GradioState, page: string, maxAge: number | undefined) {
  const app = new Koa()
  app.keys = ['a secret']
  const store = new KoaStore()
  app.use(koaSession(maxAge === undefined ? { store } : { store, maxAge }, app))
  app.use(koa(gradio))
  app.use(async ctx => {
    const route = routes[ctx.path]
    if (route === undefined) {
      ctx.body = page
      return
    }
    const result = await route({
      state: ctx.gradioState,
      query: ctx.URL.searchParams,
      regenerate: async () => sessionOf(ctx).regenerate(),
      destroy: async () => {
        ctx.session = null
      },
    })
    ctx.body = JSON.stringify(result ?? null)
    ctx.type = 'json'
  })
  return app.callback()
}
