import { GradioStateError, invalid, unsupported } from '../../errors.js'
import { known, shaped } from '../../parse.js'
import { type Cluster, clusterOf } from '../../sessions/cluster-option.js'
import type { ClientSource, RedisClient } from './connection.js'
import { RedisCoordinator } from './redis-coordinator.js'

export type { RedisClient } from './connection.js'

/** The options of {@link redis}: `client` or `url`. */
export interface RedisOptions {
  /** A client of the `redis` package, version 4.2 or later; of `createCluster()`, version 6 or later. The app closes it. */
  client?: RedisClient
  /** The address of Redis: `'redis://localhost:6379'`. The library creates a client, and closes it in `close()`. */
  url?: string
  /** The prefix of all keys and channels. Apps that share a Redis need different ones. @default 'gradio-state' */
  prefix?: string
}

/**
 * Creates the option `cluster`: several nodes share their users' sessions through Redis (or Valkey), which needs
 * `maxmemory-policy noeviction`. Import it from `gradio-state/redis`.
 * @throws GradioStateError `OPTION_INVALID`; `VERSION_UNSUPPORTED` for a client of an earlier version. With `url`, that one is emitted
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
  const isOfVersion3 = typeof client === 'object' && client !== null && 'send_command' in client
  if (!isOfVersion3) shaped('client', client, CLIENT_METHODS, 'a client of the redis package')
  recent(client)
  return async () => ({ client, isOwn: false })
}

function fromUrl(url: unknown): ClientSource {
  if (typeof url !== 'string' || !/^rediss?:\/\//.test(url)) {
    throw invalid('url', "an address such as 'redis://localhost:6379'", url)
  }
  return async () => {
    const imported = await import('redis').catch(cause => {
      throw new GradioStateError(
        'REDIS_MISSING',
        "Expected the package 'redis', which redis({ url }) makes its client with. Run: npm install redis",
        { cause },
      )
    })
    // Clients of version 3 connect at once, and crash the process without a listener of `error`.
    if (!('createCluster' in imported)) throw tooOld()
    return { client: recent(imported.createClient({ url })), isOwn: true }
  }
}

/** Earlier versions don't show whether Redis can be reached: each command would have to wait for its timeout. */
function recent(client: RedisClient): RedisClient {
  if (typeof client.isReady !== 'boolean') throw tooOld()
  return client
}

function tooOld(): GradioStateError {
  const expected = 'version 4.2 or later (createCluster(): version 6 or later)'
  return unsupported('redis', expected, 'whose clients have no isReady, as earlier versions')
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
