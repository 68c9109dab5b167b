import { GradioStateError, invalid } from '../../errors.js'
import { known, shaped } from '../../parse.js'
import { type Cluster, clusterOf } from '../../sessions/cluster-option.js'
import type { ClientSource, RedisClient } from './connection.js'
import { RedisCoordinator } from './redis-coordinator.js'

export type { RedisClient } from './connection.js'

/** What {@link redis} takes: `client` or `url`. */
export interface RedisOptions {
  /** A client of the `redis` package, version 4 or later; of `createCluster()`, version 5 or later. It is not closed. */
  client?: RedisClient
  /** Where Redis is: `'redis://localhost:6379'`. A client is made, and closed by `close()`. */
  url?: string
  /** What all keys and channels begin with. Apps that share a Redis need one each. @default 'gradio-state' */
  prefix?: string
}

/**
 * For the option `cluster`: several nodes share their users' sessions by a Redis (or Valkey), which needs
 * `maxmemory-policy noeviction`.
 * @throws GradioStateError `OPTION_INVALID`
 */
export function redis(options: RedisOptions): Cluster {
  known('the options of redis()', options, { client: true, url: true, prefix: true })
  const { client, url, prefix = 'gradio-state' } = options
  if (typeof prefix !== 'string' || !/^[\w:.-]{1,64}$/.test(prefix)) {
    throw invalid('prefix', 'a text of 1 to 64 letters, digits and _ - . :', prefix)
  }
  if ((client === undefined) === (url === undefined)) {
    throw invalid('the options of redis()', 'either a client or a url', options)
  }
  const source = client === undefined ? fromUrl(url) : given(client)
  return clusterOf(() => new RedisCoordinator(prefix, source))
}

function given(client: RedisClient): ClientSource {
  shaped('client', client, CLIENT_METHODS, 'a client of the redis package')
  return async () => ({ client, isOwn: false })
}

function fromUrl(url: unknown): ClientSource {
  if (typeof url !== 'string' || !/^rediss?:\/\//.test(url)) {
    throw invalid('url', "an address such as 'redis://localhost:6379'", url)
  }
  return async () => {
    const { createClient } = await import('redis').catch(cause => {
      throw new GradioStateError(
        'REDIS_MISSING',
        "Expected the package 'redis', which redis({ url }) makes its client with. Run: npm install redis",
        { cause },
      )
    })
    return { client: createClient({ url }), isOwn: true }
  }
}

const CLIENT_METHODS: Parameters<typeof shaped<RedisClient>>[2] = {
  connect: true,
  duplicate: true,
  eval: true,
  evalSha: true,
  subscribe: true,
  unsubscribe: true,
  on: true,
  off: true,
}
