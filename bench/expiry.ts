import { EventEmitter } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { type Clock, systemClock } from '../lib/clock.js'
import { gradioState } from '../lib/index.js'
import { ms, type Row } from './table.js'

export const title = 'a million sessions, each with a value and a delete callback, that expire at one moment'

/** Of the timers that are set one by one: longer than it takes to set them. */
const DELAY = 8_000
const COUNT = Number(process.env.COUNT ?? 1_000_000)

export async function run(): Promise<Row[]> {
  const rows: Row[] = []
  for (const [name, contender] of Object.entries({
    'gradio-state': library,
    'a Map, scanned once a minute': scan,
    'a setTimeout each': timeouts,
  })) {
    const before = heap()
    const { expire, isOver } = await contender()
    const bytes = (heap() - before) / COUNT
    const { total, longest } = await watch(expire, isOver)
    rows.push({ name, total: ms(total), 'longest block': ms(longest), 'bytes each': bytes.toFixed(0) })
  }
  return rows
}

// A million of anything is more than the default allows.
setFlagsFromString('--max-old-space-size=12000')
setFlagsFromString('--expose-gc')
const collect: () => void = runInNewContext('gc')

function heap(): number {
  collect()
  return process.memoryUsage().heapUsed
}

interface Storm {
  /** Sets it off. */
  expire(): void
  /** Whether every callback has run. */
  isOver(): boolean
}

/** How long it takes, and for how long at most the event loop did nothing else. */
async function watch(expire: () => void, isOver: () => boolean): Promise<{ total: number; longest: number }> {
  const begun = performance.now()
  let longest = 0
  let last = begun
  expire()
  while (!isOver()) {
    await new Promise(setImmediate)
    const now = performance.now()
    longest = Math.max(longest, now - last)
    last = now
  }
  return { total: performance.now() - begun, longest }
}

async function library(): Promise<Storm> {
  const clock = leapingClock()
  const gradio = gradioState({
    clock,
    maxSessions: Number.POSITIVE_INFINITY,
    identify: req => req.headers['x-user'] as string,
  })
  // What is said once about sessions without pages would stand in the table.
  process.removeAllListeners('warning')
  let deleted = 0
  const state = gradio.state('state', {
    value: () => ({}),
    deleteCallback: () => {
      deleted++
    },
  })
  for (let user = 0; user < COUNT; user++) {
    const req = { method: 'GET', url: '/', headers: { 'x-user': `${user}` } } as unknown as IncomingMessage
    const res = Object.assign(new EventEmitter(), { headersSent: false, closed: false })
    gradio(req, res as unknown as ServerResponse, () => {})
    ;(req as IncomingMessage & { gradioState: { get(of: typeof state): unknown } }).gradioState.get(state)
    res.emit('close')
    if (user % 1_000 === 0) await new Promise(setImmediate)
  }
  return {
    expire: () => clock.leap(7_200_000),
    isOver: () => deleted === COUNT && gradio.stats().ending === 0,
  }
}

async function scan(): Promise<Storm> {
  const sessions = new Map<string, { expires: number; value: object }>()
  let deleted = 0
  const deleteCallback = async (_value: object) => {
    deleted++
  }
  for (let user = 0; user < COUNT; user++) sessions.set(`${user}`, { expires: 0, value: {} })
  return {
    expire: () =>
      setTimeout(() => {
        for (const [id, { expires, value }] of sessions) {
          if (expires > Date.now()) continue
          sessions.delete(id)
          void deleteCallback(value)
        }
      }),
    isOver: () => deleted === COUNT,
  }
}

async function timeouts(): Promise<Storm> {
  const sessions = new Map<string, { value: object; timer: NodeJS.Timeout }>()
  let deleted = 0
  const deleteCallback = async (_value: object) => {
    deleted++
  }
  const begun = performance.now()
  for (let user = 0; user < COUNT; user++) {
    const value = {}
    const timer = setTimeout(() => {
      sessions.delete(`${user}`)
      void deleteCallback(value)
    }, DELAY)
    sessions.set(`${user}`, { value, timer })
  }
  // Without a turn of the event loop all of them become due at one moment.
  while (performance.now() - begun < DELAY + 1_000) {}
  return {
    expire: () => {},
    isOver: () => deleted === COUNT,
  }
}

/** The machine's clock, which can leap ahead. */
function leapingClock(): Clock & { leap(by: number): void } {
  let ahead = 0
  let pending: (() => void) | undefined
  return {
    now: () => performance.now() + ahead,
    wall: () => Date.now() + ahead,
    setTimer(run, delay) {
      pending = run
      return systemClock.setTimer(run, delay)
    },
    leap(by) {
      ahead += by
      pending?.()
    },
  }
}
