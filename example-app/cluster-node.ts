// One of the nodes that `server-cluster.ts` starts: the demo on Express, with sessions in Redis.

import { RedisStore } from 'connect-redis'
import { redis } from 'gradio-state/redis'
import { createClient } from 'redis'
import { type Actions, createActions } from './actions.ts'
import { createApp } from './app.ts'
import { createClusterDemo } from './cluster-demo.ts'
import { createReports, type Records } from './reports.ts'
import { start } from './start.ts'

const client = createClient({ url: process.env.REDIS_URL as string, disableOfflineQueue: true })
// Without a listener, a lost connection would crash the process. The library reports outages itself.
client.on('error', () => {})
await client.connect()

const store = new RedisStore({ client, prefix: 'state-cleanup-demo:express:' })
const cluster = redis({ client, prefix: 'state-cleanup-demo' })

const port = await start(
  (demo, settings) => {
    const app = createApp(demo, settings, store)
    app.set('trust proxy', 'loopback')
    return app
  },
  {
    createActions: settings => {
      const { report, reportsOf } = createReports(redisRecords())
      return createActions(createClusterDemo(settings, report, cluster), settings, reportsOf)
    },
    beforeClose: process.env.ENDS_WITH_REDIS ? endAll : undefined,
  },
)
process.send?.({ port })
// The process that started this node has ended.
process.once('disconnect', () => process.kill(process.pid, 'SIGTERM'))

/** Sessions normally stay in Redis when a node stops. If Redis stops too, nothing would clean them up later. */
async function endAll({ gradio }: Actions): Promise<void> {
  await Promise.all(gradio.sessions().map(({ id }) => gradio.endSession(id)))
}

/** Any node can have run the hooks of a session. */
function redisRecords(): Records {
  const keyOf = (session: string) => `state-cleanup-demo:reports:${session}`
  return {
    async add(session, report) {
      const key = keyOf(session)
      await client.multi().rPush(key, JSON.stringify(report)).expire(key, 3600).exec()
    },
    async of(session) {
      const lines = await client.lRange(keyOf(session), 0, -1)
      return lines.map(line => JSON.parse(line))
    },
  }
}
