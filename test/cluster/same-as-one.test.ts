// Users can't distinguish several processes from one: the same moves run the same hooks, at the same times.

import assert from 'node:assert/strict'
import { describe, type TestContext, test } from 'node:test'
import { type GradioState, gradioState } from '../../lib/index.ts'
import { clusterOf } from '../../lib/sessions/cluster-option.ts'
import { steppedClock } from '../../lib/testing/fake-clock.ts'
import { type FakeClock, fakeClock } from '../../lib/testing/index.ts'
import { MemoryCluster } from '../support/cluster/memory-cluster.ts'
import { MemoryCoordinator } from '../support/cluster/memory-coordinator.ts'
import { redisSetting } from '../support/cluster/places.ts'
import { type Move, randomMoves } from '../support/cluster/random-moves.ts'
import { type TestUser, testUser } from '../support/sessions/harness.ts'

// Each instance would warn once about sessions without a page.
process.removeAllListeners('warning')

const MOVES = 60
/** Seconds. */
const [UNLOAD_DELAY, GRACE_PERIOD, UNLOAD_HOOK] = [2, 12, 0.7]

const options = { unloadDelay: UNLOAD_DELAY, gracePeriod: GRACE_PERIOD, identify: () => 'user' }

interface Processes {
  readonly clock: FakeClock
  readonly instances: readonly GradioState[]
}

function alone(): Processes {
  const clock = fakeClock()
  return { clock, instances: [gradioState({ clock, ...options })] }
}

function inMemory(count: number): Processes {
  const clock = steppedClock({ wall: Date.UTC(2026, 0, 1), rest: () => cluster.rest() })
  const cluster = new MemoryCluster(clock)
  const shared = { clock, cluster: clusterOf(() => new MemoryCoordinator(cluster)) }
  return { clock, instances: many(count, () => gradioState({ ...shared, ...options })) }
}

function many<T>(count: number, make: () => T): T[] {
  return Array.from({ length: count }, make)
}

/** Performs the moves. @returns which hooks have run, and when */
async function play({ clock, instances }: Processes, moves: readonly Move[]): Promise<string[]> {
  const log: string[] = []
  const note = (what: string) => void log.push(`${Math.round(clock.now())} ${what}`)
  for (const gradio of instances) {
    gradio.on('error', error => note(String(error)))
    gradio.load(() => note('load'))
    gradio.unload(async ({ reason }) => {
      note(`unload ${reason}`)
      await new Promise<void>(resolve => clock.setTimer(resolve, UNLOAD_HOOK * 1000))
      note('unloaded')
    })
    gradio.ended(({ reason }) => note(`ended ${reason}`))
  }
  await clock.advance(0)
  const users = instances.map(gradio => testUser(gradio))
  const leaves = new Map<number, (contentType: string) => void>()
  for (const { after, entry, process, kind, leave } of moves) {
    await clock.advance(after / 1000)
    if (leave === undefined) leaves.set(entry, enter(users[process % users.length] as TestUser, kind))
    else leaves.get(entry)?.(leave)
    await clock.advance(0)
  }
  await clock.advance(10 * GRACE_PERIOD)
  const closed = instances.map(gradio => gradio.close({ timeout: 0 }))
  await clock.advance(1)
  await Promise.all(closed)
  return log
}

/** Enters the session, as soon as possible. @returns makes the entry leave */
function enter(user: TestUser, kind: Move['kind']): (contentType: string) => void {
  if (kind === 'page') {
    const connecting = user.connect()
    return () => void connecting.then(connection => connection.close())
  }
  const headers: Record<string, string> = kind === 'navigation' ? { 'upgrade-insecure-requests': '1' } : {}
  const using = user.begin(headers).then(async request => {
    await request.state.establish()
    return request
  })
  return contentType => void using.then(({ end }) => end(contentType))
}

async function compare(
  t: TestContext,
  seeds: number,
  count: number,
  together: () => Processes,
): Promise<void> {
  let hooks = 0
  for (let seed = 1; seed <= seeds; seed++) {
    const moves = randomMoves(seed, MOVES, count)
    const expected = await play(alone(), moves)
    assert.deepEqual(await play(together(), moves), expected, `seed ${seed}`)
    hooks += expected.length
  }
  assert.ok(hooks > 5 * seeds)
  t.diagnostic(`${hooks} calls of hooks`)
}

for (const count of [2, 3, 5]) {
  test(`${count} processes run the same hooks as one, at the same times`, t => {
    return compare(t, 60, count, () => inMemory(count))
  })
}

describe('on Redis', () => {
  const setting = redisSetting()

  test('3 processes run the same hooks as one, at the same times', t => {
    return compare(t, 6, 3, () => {
      const { clock } = setting.place()
      return { clock, instances: many(3, () => gradioState({ ...setting.beside(clock), ...options })) }
    })
  })
})
