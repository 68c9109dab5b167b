// Two workers of node:cluster without a common store, which listen at the given address: the arguments of `listen()` as JSON.

import cluster from 'node:cluster'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import express from 'express'
import { gradioState } from '../../../lib/index.ts'

if (cluster.isPrimary) {
  cluster.fork()
  cluster.fork()
  process.on('disconnect', () => process.exit())
} else {
  const gradio = gradioState()
  const app = express()
  app.use(gradio)
  app.get('/id', (req, res) => {
    res.set('connection', 'close').send(req.gradioState.id)
  })
  const server = createServer(app)
  server.listen({ host: '127.0.0.1', ...JSON.parse(process.argv[2] ?? '{}') }, () => {
    console.log(`PORT ${(server.address() as AddressInfo).port}`)
  })
}
