// An app on gradio-state with one value for each user, an unload hook and uploads: the counterpart of app.py.

import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import express from 'express'
import type { SessionState } from 'gradio-state'
import { fakeClock } from 'gradio-state/testing'
import { allUnloaded, eachOf, newToken, sendRequest, unlimited } from '../begin-sessions.js'
import { answering } from '../harness/process.js'

const [cacheDir, purpose] = process.argv.slice(2) as [string, string | undefined]

// Files become old on request; everything else uses the system's clock.
const aging = purpose === 'sweep' ? fakeClock() : undefined

const gradio = unlimited({
  cacheDir,
  // Like Gradio, which has no delay and only this limit.
  unloadDelay: 0,
  uploadRoute: true,
  maxFileSize: Number.POSITIVE_INFINITY,
  maxSessionBytes: Number.POSITIVE_INFINITY,
  maxCacheBytes: Number.POSITIVE_INFINITY,
  ...(aging && { clock: aging, deleteCache: ['60m', '30m'], gracePeriod: '1d' }),
})

const unloaded: { id: string; at: number }[] = []
gradio.unload(({ session }) => {
  unloaded.push({ id: session.id, at: Date.now() })
})

const value = gradio.state('value', {
  value: () => ({ count: 0 }),
  timeToLive: '60m',
  deleteCallback: () => {},
})

const app = express()
app.use(gradio)
app.get('/ping', (_req, res) => {
  res.json(false)
})
const server = app.listen(0, '127.0.0.1')
await once(server, 'listening')

answering(
  {
    cpu() {
      const { user, system } = process.cpuUsage()
      return (user + system) / 1_000
    },
    async begin(count: number) {
      await eachOf(count, () => sendRequest(gradio, newToken(), state => state.set(value, { count })))
      await allUnloaded(gradio)
      return gradio.stats().sessions
    },
    unloads: () => ({
      hooks: unloaded.length,
      sessions: new Set(unloaded.map(({ id }) => id)).size,
      last: unloaded.reduce((last, { at }) => Math.max(last, at), 0),
    }),
    async save(count: number) {
      let id = ''
      sendRequest(gradio, newToken(), state => {
        state.set(value, { count: 0 })
        id = state.id
      })
      const session = gradio.session(id)
      if (session === undefined) throw new Error('Expected the session of a first sendRequest to be there')
      await saveAll(session, 0, count / 2)
      await aging?.advance('40m')
      await saveAll(session, count / 2, count)
    },
    async sweep() {
      // Bytes count until their file is deleted from the disk.
      const left = gradio.stats().fileBytes / 2
      const start = performance.now()
      void aging?.advance('20m')
      while (gradio.stats().fileBytes > left) await new Promise(resolve => setImmediate(resolve))
      return performance.now() - start
    },
  },
  { port: (server.address() as AddressInfo).port },
)

/** Saves files, a few at a time. */
async function saveAll(session: SessionState, from: number, to: number): Promise<void> {
  let next = from
  const work = async () => {
    while (next < to) {
      const index = next++
      await session.saveFile(Buffer.from(`${index}`.padEnd(1024)), { name: `${index}.bin` })
    }
  }
  await Promise.all(Array.from({ length: PARALLEL }, work))
}

const PARALLEL = 20
