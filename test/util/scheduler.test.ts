import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { describe, it, type TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { fakeClock } from '../../lib/testing/index.ts'
import { type Clock, MAX_TIMEOUT, systemClock } from '../../lib/util/clock.ts'
import { Deadline, Deadlines } from '../../lib/util/scheduler.ts'
import { harness } from '../support/sessions/harness.ts'

const DAY = 86_400_000

/** Deadlines on a fake clock, and the delays of the timers that they have set. */
function recorded() {
  const clock = fakeClock()
  const delays: number[] = []
  const recording: Clock = {
    now: clock.now,
    wall: clock.wall,
    setTimer(run, ms) {
      delays.push(ms)
      return clock.setTimer(run, ms)
    },
  }
  return { clock, delays, deadlines: new Deadlines(recording) }
}

describe('one timer', () => {
  it('is enough for all deadlines', async () => {
    const { clock, deadlines } = recorded()
    const ran: number[] = []
    const all = Array.from({ length: 1_000 }, (_, index) => new Deadline(() => ran.push(index)))
    for (const [index, deadline] of all.entries()) deadlines.schedule(deadline, (index * 7919) % 10_000)
    assert.equal(clock.timers, 1)
    await clock.advance(5)
    assert.equal(clock.timers, 1)
    assert.equal(ran.length, all.filter((_, index) => (index * 7919) % 10_000 <= 5_000).length)
    await clock.advance(5)
    assert.equal(ran.length, 1_000)
    assert.equal(clock.timers, 0)
  })

  it('is enough for a whole instance: sessions, values, hooks and pages', async t => {
    const { gradio, clock, user } = harness(t)
    assert.equal(clock.timers, 0)
    gradio.load(async () => {
      await new Promise(setImmediate)
    })
    for (let index = 0; index < 50; index++) {
      const session = await user(`${index}`).session()
      session.set('x', index, { timeToLive: 100 + index })
      await user(`${index}`).connect()
    }
    assert.equal(clock.timers, 1)
  })

  it('is set again when something is due earlier, and not with each later deadline', async () => {
    const { delays, deadlines } = recorded()
    for (const ms of [1_000, 2_000, 3_000, 1_000]) deadlines.schedule(new Deadline(() => {}), ms)
    assert.equal(delays.length, 1)
    deadlines.schedule(new Deadline(() => {}), 10)
    assert.deepEqual(delays.slice(1), [10])
  })

  it('is never set to more than setTimeout supports', async () => {
    const { clock, delays, deadlines } = recorded()
    const ran: string[] = []
    deadlines.schedule(new Deadline(() => ran.push('100 days')), 100 * DAY)
    deadlines.schedule(new Deadline(() => ran.push('10 years')), 3_650 * DAY)
    await clock.advance('99d')
    assert.deepEqual(ran, [])
    await clock.advance('1d')
    assert.deepEqual(ran, ['100 days'])
    await clock.advance('3550d')
    assert.deepEqual(ran, ['100 days', '10 years'])
    assert.ok(Math.max(...delays) <= MAX_TIMEOUT)
    // 170 of 24.8 days, and some for the levels of the wheel.
    assert.ok(delays.length < 300, `${delays.length} timers`)
  })

  it('never fires early, and late by no more than the timers of the machine', async t => {
    stayAlive(t)
    const deadlines = new Deadlines(systemClock)
    const begun = performance.now()
    const times = await Promise.all(
      [0, 0.5, 1, 7.3, 20].map(async ms => {
        await deadlines.pause(ms)
        return performance.now() - begun - ms
      }),
    )
    assert.ok(
      times.every(late => late >= 0),
      `${times}`,
    )
  })
})

describe('many simultaneous deadlines', () => {
  it('do not block the event loop between slices', async t => {
    stayAlive(t)
    let now = 0
    const clock: Clock = { now: () => now, wall: () => now, setTimer: systemClock.setTimer }
    const deadlines = new Deadlines(clock)
    const count = 20_000
    let ran = 0
    let longest = 0
    for (let index = 0; index < count; index++) {
      const deadline = new Deadline(() => {
        ran++
        now += 0.05
      })
      deadlines.schedule(deadline, 0)
    }
    for (let before = now; ran < count; before = now) {
      await new Promise(setImmediate)
      longest = Math.max(longest, now - before)
    }
    // 32 steps of 0.05 ms are made between two checks of the clock.
    assert.ok(longest > 1 && longest < 8, `${longest} ms in one turn`)
  })

  it('end each slice, although the clock stands still', async () => {
    const { clock, deadlines } = recorded()
    let ran = 0
    for (let index = 0; index < 50_000; index++) deadlines.schedule(new Deadline(() => ran++), 0)
    let most = 0
    const watch = setImmediate(function turn(before = 0) {
      most = Math.max(most, ran - before)
      if (ran < 50_000) setImmediate(turn, ran)
    })
    await clock.advance(1)
    clearImmediate(watch)
    assert.equal(ran, 50_000)
    assert.ok(most <= 2 * 16_384, `${most} in one turn`)
  })

  it('are processed without a pause, although nothing else happens in the process', () => {
    const { status, stdout, stderr } = run(`
      const { Deadline, Deadlines } = await import('./lib/util/scheduler.ts')
      const { systemClock } = await import('./lib/util/clock.ts')
      const deadlines = new Deadlines(systemClock)
      let ran = 0
      const begun = performance.now()
      const keepAlive = setTimeout(() => console.log(ran), 60_000)
      for (let i = 0; i < 5_000; i++) {
        deadlines.schedule(new Deadline(() => {
          if (++ran === 5_000) {
            clearTimeout(keepAlive)
            console.log(performance.now() - begun < 30_000 ? 'at once' : 'late')
          }
        }), 1)
      }`)
    assert.equal(stderr, '')
    assert.equal(status, 0)
    assert.equal(stdout, 'at once\n')
  })
})

it('a deadline that throws does not affect the others', async () => {
  const { clock, deadlines } = recorded()
  const ran: number[] = []
  for (let index = 0; index < 5; index++) {
    const deadline = new Deadline(() => {
      ran.push(index)
      if (index % 2 === 0) throw new Error(`broken ${index}`)
    })
    deadlines.schedule(deadline, 1_000)
  }
  for (const index of [0, 2, 4]) await assert.rejects(clock.advance(1), new RegExp(`broken ${index}`))
  assert.deepEqual(ran, [0, 1, 2, 3, 4])
})

it('a deadline may schedule, move and cancel others, and itself', async () => {
  const { clock, deadlines } = recorded()
  const ran: string[] = []
  const moved = new Deadline(() => ran.push(`moved at ${clock.now()}`))
  const cancelled = new Deadline(() => ran.push('cancelled'))
  const again = new Deadline(() => {
    ran.push(`again at ${clock.now()}`)
    if (clock.now() < 300) deadlines.schedule(again, 100)
    deadlines.cancel(cancelled)
    deadlines.schedule(moved, 1_000)
  })
  for (const deadline of [again, moved, cancelled]) deadlines.schedule(deadline, 100)
  await clock.advance(10)
  assert.deepEqual(ran, ['again at 100', 'again at 200', 'again at 300', 'moved at 1300'])
  assert.equal(deadlines.size, 0)
  assert.equal(clock.timers, 0)
})

describe('within()', () => {
  it('resolves with whether the promise came first, and leaves no deadline', async () => {
    const { clock, deadlines } = recorded()
    assert.equal(await deadlines.within(Promise.resolve(), 1_000), true)
    assert.equal(deadlines.size, 0)
    const late = deadlines.within(sleep(60_000, undefined, { ref: false }), 1_000)
    await clock.advance(1)
    assert.equal(await late, false)
    assert.equal(deadlines.size, 0)
  })
})

it('a process that waits for a grace period of an hour exits by itself', () => {
  const { status, stdout, stderr } = run(`
    const { gradioState } = await import('./lib/index.ts')
    const { testUser } = await import('./test/support/sessions/harness.ts')
    const gradio = gradioState({ identify: req => req.headers['x-user'] })
    const session = await testUser(gradio).session()
    session.set('x', 1, { timeToLive: '50m' })
    console.log(gradio.stats().sessions, process.getActiveResourcesInfo().filter(name => name !== 'PipeWrap'))`)
  assert.equal(stderr, '')
  assert.equal(status, 0)
  assert.match(stdout, /^1 \[/)
})

/** The timers of the library alone don't keep the process of a test alive. */
function stayAlive(t: TestContext): void {
  const timer = setInterval(() => {}, 60_000)
  t.after(() => clearInterval(timer))
}

/** Runs a module in a separate process, which has to exit within 2 minutes. */
function run(code: string) {
  return spawnSync(process.execPath, ['--import', 'tsx', '--input-type=module', '--eval', code], {
    cwd: fileURLToPath(new URL('../..', import.meta.url)),
    encoding: 'utf8',
    timeout: 120_000,
  })
}
