// A server of the suite `request`: one of the contenders below.

import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import express, { type Express, type RequestHandler } from 'express'
import session from 'express-session'
import { gradioState } from 'gradio-state'
import { watchAllocation } from './harness/allocation.js'
import { BODY } from './harness/load.js'
import { answering } from './harness/process.js'

const [contender] = process.argv.slice(2)

const answer: RequestHandler = (_req, res) => {
  res.send(BODY)
}

/** The middleware of each contender, between express-session and the same routes. */
const CONTENDERS: Readonly<Record<string, (app: Express) => RequestHandler>> = {
  bare: () => answer,
  empty(app) {
    app.use((_req, _res, next) => next())
    return answer
  },
  mounted(app) {
    app.use(gradioState())
    return answer
  },
  used(app) {
    const gradio = gradioState()
    const counter = gradio.state('counter', { value: 0 })
    app.use(gradio)
    return (req, res) => {
      req.gradioState.set(counter, req.gradioState.get(counter) + 1)
      res.send(BODY)
    }
  },
}

const app = express().disable('x-powered-by')
app.use(session({ secret: 'a secret', resave: false, saveUninitialized: false }))
app.get('/', CONTENDERS[contender as string]?.(app) as RequestHandler)
app.get('/login', (req, res) => {
  Object.assign(req.session, { user: 'somebody' })
  res.end()
})

const server = createServer(app).listen(0, '127.0.0.1', () => {
  let allocated: () => Promise<number>
  answering(
    {
      cpu: () => process.cpuUsage(),
      async watchAllocation() {
        allocated = await watchAllocation()
      },
      /** In bytes. */
      allocated: () => allocated(),
    },
    (server.address() as AddressInfo).port,
  )
})
