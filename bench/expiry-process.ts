// Stores values that are all due at the same moment, in one of several ways, and measures how long their callbacks take.

import { TTLCache } from '@isaacs/ttlcache'
import type { SessionState } from 'gradio-state'
import { LRUCache } from 'lru-cache'
import { allUnloaded, eachOf, newToken, sendRequest, unlimited } from './begin-sessions.js'
import { watchLoop } from './harness/loop-delay.js'
import { answering } from './harness/process.js'

interface Keeper {
  /** Prepares what isn't part of the values: their sessions. */
  prepare?(count: number): Promise<void>
  /** Adds a value with a time to live, in whole milliseconds. */
  add(timeToLive: number): void
}

let deleted = 0
let awaited = 0
let allDeleted = (_at: number) => {}
const deleteCallback = (_value: object) => {
  deleted++
  if (deleted === awaited) allDeleted(performance.now())
}

const KEEPERS: Readonly<Record<string, () => Keeper>> = {
  'gradio-state': library,
  'a setTimeout each': timeouts,
  'lru-cache, ttlAutopurge': lruCache,
  '@isaacs/ttlcache': ttlCache,
}

const [name] = process.argv.slice(2)
const keeper = KEEPERS[name as string]?.() as Keeper

answering({ expire })

/** How long it takes to add a value, in milliseconds: a guess until the first ones have been added. */
let pace = 0.02

/**
 * @param patience how many times longer than the first ones all others may take to be added
 * @returns in milliseconds; `undefined` when they took longer
 */
async function expire(count: number, patience: number) {
  await keeper.prepare?.(count)
  deleted = 0
  awaited = count
  const over = new Promise<number>(resolve => {
    allDeleted = resolve
  })
  const begun = performance.now()
  const due = Math.ceil(begun + 2 * LEAD + count * pace * patience)
  for (let added = 0; added < count; added++) {
    const left = due - Math.floor(performance.now())
    if (left < LEAD) return undefined
    keeper.add(left)
  }
  pace = (performance.now() - begun) / count
  globalThis.gc?.()
  if (performance.now() > due - LEAD) return undefined
  await pause(due - performance.now() - SHORTLY)
  const stop = watchLoop()
  const last = await Promise.race([over, pause(TOO_LONG)])
  if (last === undefined) throw new Error(`Expected ${count} callbacks within ${TOO_LONG} ms, got ${deleted}`)
  // A block is known to the watch once it has ticked again. Until then, a value that is deleted twice would be detected.
  await pause(SHORTLY)
  const delay = stop()
  if (deleted !== count) throw new Error(`Expected ${count} callbacks, got ${deleted}`)
  return { total: last - due, p99: delay.p99, longest: delay.longest }
}

function library(): Keeper {
  const gradio = unlimited()
  let ids: string[] = []
  return {
    async prepare(count) {
      ids = []
      await eachOf(count, () => sendRequest(gradio, newToken(), state => ids.push(state.id)))
      await allUnloaded(gradio)
    },
    add(timeToLive) {
      const session = gradio.session(ids.pop() as string) as SessionState
      session.set('value', {}, { timeToLive: timeToLive / 1_000, deleteCallback })
    },
  }
}

function timeouts(): Keeper {
  const values = new Map<string, { value: object; timer: NodeJS.Timeout }>()
  return {
    add(timeToLive) {
      const token = newToken()
      const value = {}
      const timer = setTimeout(() => {
        values.delete(token)
        deleteCallback(value)
      }, timeToLive)
      values.set(token, { value, timer })
    },
  }
}

function lruCache(): Keeper {
  const values = new LRUCache<string, object>({ ttl: 1, ttlAutopurge: true, dispose: deleteCallback })
  return { add: ttl => values.set(newToken(), {}, { ttl }) }
}

function ttlCache(): Keeper {
  const values = new TTLCache<string, object>({ dispose: deleteCallback })
  return { add: ttl => values.set(newToken(), {}, { ttl }) }
}

function pause(ms: number): Promise<undefined> {
  return new Promise(resolve => setTimeout(() => resolve(undefined), ms))
}

/** How long before the due time all values must have been added. */
const LEAD = 1_000
/** The measurement starts late, so that idle turns of the event loop don't count. */
const SHORTLY = 20
const TOO_LONG = 300_000
