import type { RedisClient } from '../../lib/cluster/redis/index.ts'
import { describeCoordinator } from '../contract/coordinator.ts'
import { troubledClient } from '../support/cluster/troubled-client.ts'
import { redisClock } from '../support/servers/redis-clock.ts'
import { useRedis } from '../support/servers/use-redis.ts'

const used = useRedis()

let places = 0
describeCoordinator('on Redis', () => {
  const clock = redisClock(used.server)
  const prefix = `place-${++places}`
  return {
    clock,
    node() {
      const troubled = troubledClient(used.client as unknown as RedisClient)
      const coordinator = clock.coordinator(troubled.client, prefix)
      const { holdMessages, cut } = troubled
      return { coordinator, holdMessages, cut, kill: () => void cut() }
    },
    rest: () => clock.rest(),
  }
})
