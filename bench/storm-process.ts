// A server whose pages will all be closed at once. Its arguments: which, and how long after its page an unload hook runs.

import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setImmediate as turn } from 'node:timers/promises'
import express from 'express'
import { gradioState } from 'gradio-state'
import { WebSocketServer } from 'ws'
import { type LoopDelay, watchLoop } from './harness/loop-delay.js'
import { answering } from './harness/process.js'
import { MOST_SESSIONS } from './page-servers.js'

/** The unload hooks that have run. */
export interface Unloads {
  /** How often one has run. */
  readonly runs: number
  /** For how many users. */
  readonly users: number
  /** When the last one was done, in milliseconds since the epoch. */
  readonly last: number
}

export type StormServerName = 'gradio-state' | 'ws'

const [name, delay] = process.argv.slice(2) as [StormServerName, string]

const users = new Map<string, number>()
let runs = 0
let last = 0
let awaited = Number.POSITIVE_INFINITY
let ran = () => {}

async function unload(user: string): Promise<void> {
  await turn()
  users.set(user, (users.get(user) ?? 0) + 1)
  runs++
  last = Date.now()
  if (runs === awaited) ran()
}

const servers: Readonly<Record<StormServerName, () => Server>> = {
  'gradio-state'() {
    const gradio = gradioState({ maxSessions: MOST_SESSIONS })
    gradio.unload(({ session }) => unload(session.id))
    const app = express()
    app.use(gradio)
    return createServer(app)
  },
  ws() {
    const server = createServer()
    new WebSocketServer({ server, clientTracking: false }).on('connection', (socket, { url = '' }) => {
      socket.on('error', () => {})
      socket.once('close', () => setTimeout(() => void unload(url), Number(delay)))
    })
    return server
  },
}

const server = servers[name]()
server.listen(0, '127.0.0.1')
await once(server, 'listening')

/** The cost of a storm for its server, until the last hook has run. */
export interface Storming extends LoopDelay {
  /** CPU time of all threads, in milliseconds. */
  readonly cpu: number
}

let watched: () => LoopDelay
let cpuBefore: NodeJS.CpuUsage

answering(
  {
    /** Before the storm. */
    watch() {
      globalThis.gc?.()
      watched = watchLoop()
      cpuBefore = process.cpuUsage()
    },
    /** Resolves when a number of hooks has run. */
    async storm(count: number): Promise<Storming> {
      awaited = count
      if (runs < count)
        await new Promise<void>(resolve => {
          ran = resolve
        })
      const { user, system } = process.cpuUsage(cpuBefore)
      return { ...watched(), cpu: (user + system) / 1_000 }
    },
    unloads: (): Unloads => ({ runs, users: users.size, last }),
  },
  (server.address() as AddressInfo).port,
)
