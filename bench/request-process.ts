// A server of the suite `request`: `bare`, `mounted` or `used`.

import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import express from 'express'
import session from 'express-session'
import { gradioState } from 'gradio-state'
import { BODY } from './harness/load.js'
import { answering } from './harness/process.js'

const [contender] = process.argv.slice(2)

const app = express().disable('x-powered-by')
app.use(session({ secret: 'a secret', resave: false, saveUninitialized: false }))
if (contender !== 'bare') {
  const gradio = gradioState()
  const counter = gradio.state('counter', { value: 0 })
  app.use(gradio)
  app.get('/used', (req, res) => {
    req.gradioState.set(counter, req.gradioState.get(counter) + 1)
    res.send(BODY)
  })
}
app.get('/login', (req, res) => {
  Object.assign(req.session, { user: 'somebody' })
  res.end()
})
app.get('/', (_req, res) => {
  res.send(BODY)
})

const server = createServer(app).listen(0, '127.0.0.1', () => {
  answering(
    { exit: () => process.exit(), cpu: () => process.cpuUsage() },
    (server.address() as AddressInfo).port,
  )
})
