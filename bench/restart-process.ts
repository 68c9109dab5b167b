// A server that is killed and restarted. Its argument says which.

import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import express from 'express'
import { gradioState } from 'gradio-state'
import { Server as SocketIo } from 'socket.io'
import { type LoopDelay, watchLoop } from './harness/loop-delay.js'
import { answering } from './harness/process.js'
import { MOST_SESSIONS } from './page-servers.js'

export type RestartServerName = 'gradio-state' | 'Socket.IO'

/** The server's counts since it started. */
export interface Seen extends LoopDelay {
  readonly pages: number
  readonly unloads: number
  /** CPU time of all threads, in milliseconds. */
  readonly cpu: number
}

const [name] = process.argv.slice(2) as [RestartServerName]

type Counts = Pick<Seen, 'pages' | 'unloads'>
const servers: Readonly<Record<RestartServerName, () => { server: Server; counts(): Counts }>> = {
  'gradio-state'() {
    let unloads = 0
    const gradio = gradioState({ maxSessions: MOST_SESSIONS })
    gradio.unload(() => {
      unloads++
    })
    const app = express()
    app.use(gradio)
    // How many pages there are in the session that the cookie of this request leads to.
    app.get('/pages', (req, res) => {
      res.send(String(req.gradioState.pages))
    })
    return { server: createServer(app), counts: () => ({ pages: gradio.stats().pages, unloads }) }
  },
  'Socket.IO'() {
    const server = createServer()
    const io = new SocketIo(server, { serveClient: false })
    return { server, counts: () => ({ pages: io.of('/').sockets.size, unloads: 0 }) }
  },
}

const { server, counts } = servers[name]()
let watched: () => LoopDelay
let cpuBefore: NodeJS.CpuUsage

answering({
  /** Sends the port. */
  async listen(port: number): Promise<number> {
    watched = watchLoop()
    cpuBefore = process.cpuUsage()
    server.listen(port, '127.0.0.1', 4096)
    await once(server, 'listening')
    return (server.address() as AddressInfo).port
  },
  seen(): Seen {
    const { user, system } = process.cpuUsage(cpuBefore)
    return { ...watched(), ...counts(), cpu: (user + system) / 1_000 }
  },
  counts,
})
