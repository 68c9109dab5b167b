// Stores sessions with one value each, in one of several ways.

import { LRUCache } from 'lru-cache'
import { allUnloaded, eachOf, newToken, sendRequest, unlimited } from './begin-sessions.js'
import { answering } from './harness/process.js'

export interface Keeper {
  begin(): void
  /** Resolves when the sessions are idle. */
  idle?(): Promise<void>
}

const KEEPERS: Readonly<Record<string, () => Keeper>> = {
  'gradio-state': library,
  'a Map of Maps': maps,
  'lru-cache, ttlAutopurge': cache,
}

const [name] = process.argv.slice(2)
const keeper = KEEPERS[name as string]?.() as Keeper

answering({
  /** Returns the time that it took, in milliseconds. */
  async begin(count: number) {
    const begun = performance.now()
    await eachOf(count, () => keeper.begin())
    return performance.now() - begun
  },
  idle: () => keeper.idle?.(),
})

function library(): Keeper {
  const gradio = unlimited()
  const gallery = gradio.state('gallery', { value: () => ({}), deleteCallback: () => {} })
  return {
    begin: () => sendRequest(gradio, newToken(), state => state.get(gallery)),
    idle: () => allUnloaded(gradio),
  }
}

/** Nothing in it ever expires. */
function maps(): Keeper {
  const sessions = new Map<string, Map<string, object>>()
  return { begin: () => sessions.set(newToken(), new Map([['gallery', {}]])) }
}

/** One value per entry; named values would need a Map in addition. */
function cache(): Keeper {
  const sessions = new LRUCache<string, object>({ ttl: 3_600_000, ttlAutopurge: true, dispose: () => {} })
  return { begin: () => sessions.set(newToken(), {}) }
}
