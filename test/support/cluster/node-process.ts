// One node of a cluster: an app in a separate process, which tests can kill, pause and query.
// Started by `startNodes`, with its NodeSettings as JSON.

import { appendFileSync, renameSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import express, { type Request } from 'express'
import { createCluster } from 'redis'
import { type RedisClient, redis } from '../../../lib/cluster/redis/index.ts'
import { gradioState } from '../../../lib/index.ts'
import type { ClusterEvent, NodeSettings } from './types.ts'

const { name, folder, redisAt, prefix, options } = JSON.parse(process.argv[2]!) as NodeSettings
const log = join(folder, 'events')

/** What the next hook or callback of that kind does after its effect. */
const orders = new Map<string, { do: 'die' | 'wait'; seconds: number }>()

/** Synchronously: a kill must not lose events that have happened. */
function note(event: Omit<ClusterEvent, 'node' | 'at'>): void {
  appendFileSync(log, `${JSON.stringify({ ...event, node: name, at: Date.now() })}\n`)
}

async function took(event: Omit<ClusterEvent, 'node' | 'at'>): Promise<void> {
  note(event)
  const order = orders.get(event.what)
  if (order?.do === 'die') process.kill(process.pid, 'SIGKILL')
  if (order?.do === 'wait') {
    await sleep(order.seconds * 1000)
    note({ ...event, what: `${event.what} done` as ClusterEvent['what'] })
  }
}

async function clusterClient(ports: readonly number[]): Promise<RedisClient> {
  const client = createCluster({ rootNodes: ports.map(port => ({ url: `redis://127.0.0.1:${port}` })) })
  client.on('error', () => {})
  await client.connect()
  return client as unknown as RedisClient
}

const cluster = redis({
  prefix,
  ...('url' in redisAt ? { url: redisAt.url } : { client: await clusterClient(redisAt.ports) }),
})
const gradio = gradioState({
  cluster,
  cacheDir: join(folder, 'cache'),
  identify: req => req.headers['x-user'] as string | undefined,
  ...options,
})
const gallery = gradio.state<string[]>('gallery', {
  value: () => [],
  deleteCallback: (value, { reason, session, key }) =>
    took({ what: 'delete', session: session.id, key, reason, value: value.join() }),
})
const counter = gradio.sharedState<number>('counter', {
  value: 0,
  deleteCallback: (value, { reason, session, key }) =>
    took({ what: 'shared', session: session.id, key, reason, value: String(value) }),
})
gradio.load(({ session, key }) => took({ what: 'load', session: session.id, key }))
gradio.unload(({ session, key, reason }) => took({ what: 'unload', session: session.id, key, reason }))
gradio.ended(({ session, key, reason }) => took({ what: 'ended', session: session.id, key, reason }))
gradio.on('error', error => {
  const { code = 'none', message } = error as Error & { code?: string }
  note({ what: 'error', session: '', key: code, value: message })
})

const app = express()
app.set('env', 'test')
// Commands, which don't use the session of a user.
app.post('/order/:what/:do/:seconds', (req, res) => {
  const { what, do: act, seconds } = req.params
  if (act === 'nothing') orders.delete(what)
  else orders.set(what, { do: act as 'die', seconds: Number(seconds) })
  res.end()
})
app.get('/stats', (_req, res) => {
  res.json(gradio.stats())
})
app.post('/end/:id', (req, res, next) => {
  gradio.endSession(req.params.id).then(() => res.end(), next)
})
app.use(gradio)

function state(req: Request) {
  return req.gradioState
}
// Uses a local value.
app.post('/touch', async (req, res) => {
  await state(req).establish()
  state(req).update(gallery, pictures => [...pictures, name])
  res.json({ id: state(req).id, gallery: state(req).get(gallery) })
})
app.post('/count', async (req, res) => {
  await counter.update(state(req), count => count + 1)
  res.end()
})
app.get('/count', async (req, res) => {
  res.json({ count: await counter.get(state(req)) })
})
// Uses the session, but no value.
app.post('/visit', async (req, res) => {
  await state(req).establish()
  res.json({ id: state(req).id, aborted: state(req).signal.aborted })
})
app.get('/pages', async (req, res) => {
  await state(req).establish()
  res.json({ id: state(req).id, pages: state(req).pages })
})
app.post('/end', async (req, res) => {
  await state(req).end()
  res.json({})
})
// Runs until the user has left, and responds with the time.
app.post('/work', async (req, res) => {
  await state(req).establish()
  const { id, signal } = state(req)
  const aborted = () => note({ what: 'aborted', session: id, key: '' })
  if (signal.aborted) aborted()
  else signal.addEventListener('abort', aborted)
  res.json({ id })
})

const server = createServer(app)
// Otherwise it closes an idle connection after 5 s, perhaps at the moment in which the test sends a request on it.
server.keepAliveTimeout = 0
server.listen(0, '127.0.0.1', 16_384, () => {
  const { port } = server.address() as AddressInfo
  // Under another name first, so that readers never see half of it.
  writeFileSync(join(folder, 'address.new'), JSON.stringify({ port, pid: process.pid }))
  renameSync(join(folder, 'address.new'), join(folder, 'address'))
})

async function close(): Promise<never> {
  const report = await gradio.close()
  note({ what: 'closed', session: '', key: '', value: JSON.stringify(report) })
  process.exit()
}

process.once('SIGTERM', () => void close())
