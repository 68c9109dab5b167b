// Apps that are developed with Vite, whose socket for hot module replacement is the other one.

import { once } from 'node:events'
import { createServer as createHttpServer, type Server } from 'node:http'
import express from 'express'
import { createServer, type InlineConfig, type ViteDevServer } from 'vite'
import { WebSocket } from 'ws'
import { serve } from '../http/express.ts'
import type { Conversation, Parts, SocketApp, SocketLibrary } from './socket-libraries.ts'

async function start({ t, countClose }: Parts, config: InlineConfig): Promise<ViteDevServer> {
  const vite = await createServer({
    ...config,
    configFile: false,
    root: import.meta.dirname,
    appType: 'custom',
    logLevel: 'silent',
    optimizeDeps: { noDiscovery: true },
    server: { watch: null, ...config.server },
  })
  t.after(() => vite.close())
  vite.ws.on('connection', socket => socket.on('close', countClose))
  vite.ws.on('chat:say', (text, client) => client.send('chat:answer', text))
  return vite
}

/** Connects as Vite's client does. */
async function open(vite: ViteDevServer, origin: string): Promise<Conversation> {
  const url = `${origin.replace('http', 'ws')}/?token=${vite.config.webSocketToken}`
  const socket = new WebSocket(url, 'vite-hmr')
  const received = async () => JSON.parse(String((await once(socket, 'message'))[0])) as { data: string }
  await received()
  return {
    async say(text) {
      socket.send(JSON.stringify({ type: 'custom', event: 'chat:say', data: text }))
      return (await received()).data
    },
    close: () => socket.close(),
  }
}

function app(vite: ViteDevServer, server: Server): SocketApp {
  return { server, open: origin => open(vite, origin) }
}

export const viteModes: Readonly<Record<string, SocketLibrary>> = {
  'Vite as a middleware of the app': async parts => {
    const handler = express().use(parts.express)
    const server = createHttpServer(handler)
    const vite = await start(parts, { server: { middlewareMode: true, hmr: { server } } })
    handler.use(vite.middlewares)
    return app(vite, server)
  },
  "the app as a middleware of Vite's server": async parts => {
    const vite = await start(parts, {
      plugins: [{ name: 'app', configureServer: ({ middlewares }) => void middlewares.use(parts.express) }],
    })
    return app(vite, vite.httpServer as Server)
  },
  "Vite's server as a proxy in front of the app": async parts => {
    const { origin } = await serve(parts.t, createHttpServer(express().use(parts.express)))
    const vite = await start(parts, { server: { proxy: { '/gradio_api': { target: origin, ws: true } } } })
    return app(vite, vite.httpServer as Server)
  },
}
