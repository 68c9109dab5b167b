import type { Config } from './options.js'

/**
 * The options that decide which session a user has and how long it lasts, as text: in a cluster, they have to be the same on all nodes.
 * The others, such as limits and directories, apply to each node separately.
 */
export function agreedOptions(config: Config): Record<string, string> {
  const { path, publicPath, gracePeriod, unloadDelay, session, onRegenerate, keepAlive, origins } = config
  const { cookie, identify, store } = config
  return {
    path,
    publicPath: publicPath || 'none',
    gracePeriod: seconds(gracePeriod),
    unloadDelay: seconds(unloadDelay),
    session,
    onRegenerate,
    keepAlive: String(keepAlive),
    store: store === undefined ? 'none' : 'a store',
    identify: identify === undefined ? 'none' : 'a function',
    origins: [...origins].sort().join(' ') || 'none',
    'cookie.name': cookie.name,
    'cookie.path': cookie.path ?? 'default',
    'cookie.domain': cookie.domain ?? 'none',
    'cookie.sameSite': cookie.sameSite,
    'cookie.secure': String(cookie.secure),
    'cookie.partitioned': String(cookie.partitioned),
  }
}

function seconds(ms: number): string {
  return `${ms / 1000} s`
}
