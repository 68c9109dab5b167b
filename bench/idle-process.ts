// An Express app without requests: bare, or with idle sessions.

import express from 'express'
import { allUnloaded, eachOf, newToken, sendRequest, unlimited } from './begin-sessions.js'
import { answering } from './harness/process.js'

const count = Number(process.argv[2])
const app = express()
if (count > 0) {
  const gradio = unlimited()
  const gallery = gradio.state('gallery', { value: () => ({}), deleteCallback: () => {} })
  app.use(gradio)
  gradio.unload(() => {})
  await eachOf(count, () => sendRequest(gradio, newToken(), state => state.get(gallery)))
  await allUnloaded(gradio)
}
app.listen(0, () => {
  globalThis.gc?.()
  answering({
    /** What `usage` gives includes a garbage collection; this doesn't. In milliseconds, of all threads. */
    cpu() {
      const { user, system } = process.cpuUsage()
      return (user + system) / 1_000
    },
  })
})
