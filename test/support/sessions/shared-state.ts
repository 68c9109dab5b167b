import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import type { DeleteEvent, GradioStateOptions, SessionState } from '../../../lib/index.ts'
import { fakeClock } from '../../../lib/testing/index.ts'
import { MemoryCoordinator } from '../cluster/memory-coordinator.ts'
import { type ClusterOfOne, clusterOfOne, type Place } from '../cluster/places.ts'
import { harness } from './harness.ts'

/** Where the values are. */
export const PLACES: Record<string, () => Place & Partial<ClusterOfOne>> = {
  'in one process': () => ({ clock: fakeClock() }),
  'in a cluster': clusterOfOne,
}

/** An instance; in a cluster, with the actions of another node. */
export function shared(
  t: TestContext,
  makePlace: () => Place & Partial<ClusterOfOne> = PLACES['in one process'] as () => Place,
  options: GradioStateOptions = {},
) {
  const { clock, cluster, all, coordinator } = makePlace()
  const made = harness(t, { ...(cluster && { cluster }), ...options }, clock)
  const log: string[] = []
  const deleteCallback = (value: unknown, { reason, name }: DeleteEvent) => {
    log.push(`${name} ${JSON.stringify(value)} ${reason}`)
  }
  const session = async (name?: string) => {
    const request = await made.user(name).begin()
    await request.state.establish()
    const { id } = request.state
    request.end()
    await made.clock.advance(0)
    return made.gradio.session(id) as SessionState
  }
  /** Writes like another node. */
  const elsewhere = (id: string, name: string, data: string) => {
    const found = [...(all?.sessions.values() ?? [])].find(session => session.id === id)
    assert.ok(all !== undefined && found !== undefined)
    const { values } = new MemoryCoordinator(all)
    void values.write(found.token, id, name, data, { timeToLive: Number.POSITIVE_INFINITY })
  }
  return { ...made, session, log, deleteCallback, elsewhere, coordinator }
}

/** Readable in tests. */
export const JSON_CODEC = { encode: JSON.stringify, decode: JSON.parse }
