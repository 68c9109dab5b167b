// How many of the app's own sockets of one session count as pages.

import assert from 'node:assert/strict'
import { it } from 'node:test'
import { fakeClock } from '../../lib/testing/index.ts'
import { clusterOfOne } from '../support/cluster/places.ts'
import { harness, RECONNECT, type TestConnection } from '../support/sessions/harness.ts'

const MAX_COUNTED = 100

for (const [where, place] of [
  ['alone', undefined],
  ['in a cluster', clusterOfOne],
] as const) {
  it(`2,500 sockets of one session count as 100 pages, until the last one closes; ${where}`, async t => {
    const { cluster, clock = fakeClock(), all } = place?.() ?? {}
    const { gradio, user } = harness(t, { ...(cluster && { cluster }) }, clock)
    const pages = () => [
      gradio.stats().pages,
      [...(all?.sessions.values() ?? [])][0]?.pages.size ?? MAX_COUNTED,
    ]
    const sockets: TestConnection[] = []
    for (let number = 0; number < 2_500; number++) sockets.push(await user().connect())
    await clock.advance(0)
    assert.deepEqual(pages(), [MAX_COUNTED, MAX_COUNTED])
    for (const socket of sockets.splice(0, 2_400)) socket.close()
    await clock.advance(60)
    assert.deepEqual(pages(), [MAX_COUNTED, MAX_COUNTED])
    for (const socket of sockets.splice(1)) socket.close()
    await clock.advance(60)
    assert.deepEqual([gradio.stats().pages, gradio.stats().loaded], [1, 1])
    sockets[0]?.close()
    await clock.advance(2 + RECONNECT)
    assert.deepEqual([gradio.stats().pages, gradio.stats().loaded], [0, 0])
  })
}
