// Runs what the tests do with few sessions, with any number of sessions:
//   node --import tsx test/cluster/run.ts spread 3000 300    sessions, and how many of them return on another node
//   node --import tsx test/cluster/run.ts slots 3000 300     the same, on a Redis Cluster
//   node --import tsx test/cluster/run.ts outage 300 30      sessions, and for how many seconds Redis is unavailable
// and so on: see below.

import { chaos } from '../support/cluster/chaos.ts'
import { crash, endInStandIn, pause, pauseInGrace, pauseInHook } from '../support/cluster/crashes.ts'
import { onRedis, onRedisCluster } from '../support/cluster/on-redis.ts'
import { forgotten, outage, rolledBack } from '../support/cluster/outages.ts'
import { spread } from '../support/cluster/returning-users.ts'
import { count } from '../support/cluster/shared-counter.ts'
import { endTwice, onTwoNodes, shutdown } from '../support/cluster/shutdown.ts'

const runs: Record<string, (...numbers: number[]) => Promise<unknown>> = {
  spread: (users = 3_000, returning = 300) => onRedis(at => spread(at, users, returning)),
  slots: (users = 3_000, returning = 300) => onRedisCluster(at => spread(at, users, returning)),
  // A node is killed: at any time, or in a hook.
  crash: (users = 1_000) => onRedis(at => crash(at, users, 'at once')),
  unload: (users = 1_000) => onRedis(at => crash(at, users, 'unload')),
  ended: (users = 1_000) => onRedis(at => crash(at, users, 'ended')),
  // A node is paused, and continues.
  pause: (users = 600, seconds = 18) => onRedis(at => pause(at, users, seconds)),
  grace: (users = 100, seconds = 25) => onRedis(at => pauseInGrace(at, users, seconds)),
  hook: (users = 10, seconds = 18) => onRedis(at => pauseInHook(at, users, seconds)),
  'stand-in': () => onRedis(at => endInStandIn(at)),
  // The same for Redis.
  outage: (users = 300, seconds = 30) => onRedis((at, server) => outage(at, server, users, seconds)),
  // One of three masters is unavailable.
  master: (users = 300, seconds = 30) =>
    onRedisCluster((at, [server]) => outage(at, server!, users, seconds, false)),
  forgotten: (users = 300) => onRedis((_at, server) => forgotten(server, users)),
  'rolled-back': (users = 300) => onRedis((_at, server) => rolledBack(server, users)),
  // Users arrive and leave, and nodes are paused for short times.
  chaos: (users = 100, seconds = 60, longest = 2) => onRedis(at => chaos(at, users, seconds, longest)),
  // Clients on all nodes increment one value.
  count: (increments = 10_000, clients = 8) => onRedis(at => count(at, increments, clients)),
  shutdown: (users = 1_000) => onRedis(at => shutdown(at, users)),
  end: (users = 300) => onRedis(at => endTwice(at, users)),
  two: (users = 20) => onRedis(at => onTwoNodes(at, users)),
}

const [what = '', ...amounts] = process.argv.slice(2)
const run = runs[what]
if (run === undefined) throw new Error(`Expected what to run: ${Object.keys(runs).join(', ')}`)
const begun = performance.now()
console.log(await run(...amounts.map(Number)))
console.log(`${Math.round((performance.now() - begun) / 1000)} s`)
