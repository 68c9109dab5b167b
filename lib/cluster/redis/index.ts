import { GradioStateError, invalid } from '../../errors.js'
import { known, shaped } from '../../parse.js'
import { type Cluster, clusterOf } from '../../sessions/cluster-option.js'
import type { ClientSource, RedisClient } from './connection.js'
import { RedisCoordinator } from './redis-coordinator.js'

export type { RedisClient } from './connection.js'

/** The options of {@link redis}: `client` or `url`. */
export interface RedisOptions {
  /** A client of the `redis` package, version 4 or later; of `createCluster()`, version 5 or later. The app closes it. */
  client?: RedisClient
  /** The address of Redis: `'redis://localhost:6379'`. The library creates a client, and closes it in `close()`. */
  url?: string
  /** The prefix of all keys and channels. Apps that share a Redis need different ones. @default 'gradio-state' */
  prefix?: string
}

/**
 * Creates the option `cluster`: several nodes share their users' sessions through Redis (or Valkey), which needs
 * `maxmemory-policy noeviction`. Import it from `gradio-state/redis`.
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
