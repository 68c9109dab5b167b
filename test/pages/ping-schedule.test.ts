import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { PingSchedule } from '../../lib/pages/ping-schedule.ts'
import { fakeClock } from '../../lib/testing/index.ts'
import { Deadline, Deadlines } from '../../lib/util/scheduler.ts'

describe('pings', () => {
  for (const heartbeat of [100, 1_000, 15_000, 30_000]) {
    it(`are sent every ${heartbeat} ms on average, never later, and at most a step earlier`, async () => {
      const clock = fakeClock()
      const pings = new PingSchedule(new Deadlines(clock), heartbeat)
      const times: number[] = []
      const ping = new Deadline(() => {
        times.push(clock.now())
        pings.scheduleNext(ping)
      })
      await clock.advance(0.037)
      const begun = clock.now()
      pings.scheduleNext(ping)
      await clock.advance((heartbeat * 50) / 1_000)
      const gaps = times.map((time, index) => time - (times[index - 1] ?? begun))
      for (const gap of gaps) assert.ok(gap <= heartbeat && gap > heartbeat - 64, `got ${gap}`)
      assert.ok(times.length >= 50)
    })
  }

  it('of pages that connect over a second are sent in a few ticks, not all at once', async () => {
    const clock = fakeClock()
    const pings = new PingSchedule(new Deadlines(clock), 15_000)
    const times = new Set<number>()
    for (let page = 0; page < 1_000; page++) {
      pings.scheduleNext(new Deadline(() => times.add(clock.now())))
      await clock.advance(0.001)
    }
    await clock.advance(15)
    assert.ok(times.size >= 15 && times.size <= 17, `got ${times.size}`)
  })
})
