// One node of several, as `server-cluster.ts` starts it: the demo on Express, with what the nodes share in a Redis.

import { RedisStore } from 'connect-redis'
import { redis } from 'gradio-state/redis'
import { createClient } from 'redis'
import { createApp } from './app.ts'
import type { Demo } from './demo.ts'
import { start } from './start.ts'

const client = createClient({ url: process.env.REDIS_URL as string, disableOfflineQueue: true })
// Without a listener, a lost connection would end the process. The library tells of an outage by itself.
client.on('error', () => {})
await client.connect()

const store = new RedisStore({ client, prefix: 'state-cleanup-demo:host:' })
const cluster = redis({ client, prefix: 'state-cleanup-demo' })

const port = await start(
  (demo, settings) => {
    const app = createApp(demo, settings, store)
    app.set('trust proxy', 'loopback')
    return app
  },
  { cluster, beforeClose: process.env.ENDS_WITH_REDIS ? endAll : undefined },
)
process.send?.({ port })
// Whoever has started this node is gone.
process.once('disconnect', () => process.kill(process.pid, 'SIGTERM'))

/** Sessions outlive a node in their Redis; where that goes too, nobody would ever clean up after them. */
async function endAll({ gradio }: Demo): Promise<void> {
  await Promise.all(gradio.sessions().map(({ id }) => gradio.endSession(id)))
}
