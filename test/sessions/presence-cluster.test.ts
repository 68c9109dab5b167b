import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { EntryAdmission, EntryKind, PresenceEntry } from '../../lib/sessions/entry.ts'
import { Presence } from '../../lib/sessions/presence.ts'

// The rows of docs/decisions/presence.md about clusters: actions of other nodes, as events for the state machine of one node.

const D = 2_000
const G = 12_000
const NEVER = Number.POSITIVE_INFINITY

const presence = () => new Presence({ unloadDelay: D, gracePeriod: G })
const entry = (kind: EntryKind): PresenceEntry => ({
  kind,
  left: false,
  isWaiting: false,
})
const admitted = (answer: Partial<EntryAdmission>): EntryAdmission => ({
  ...{ phase: 'loaded', load: 1, hadPage: false, isExpectedHere: false },
  ...answer,
})

/** A session with a past entry of this kind, which this node no longer keeps loaded at `D`. */
function left(kind: EntryKind = 'request'): Presence {
  const made = presence()
  const visitor = entry(kind)
  made.enter(visitor, 0)
  made.leave(visitor, {}, 0)
  assert.equal(made.stopKeeping(D), true)
  return made
}

describe('presence in a cluster, row by row:', () => {
  it('14, 17: nothing is due for what is no longer kept: other nodes may keep it', () => {
    const made = left()
    assert.deepEqual([made.phase, made.keepsLoaded, made.keepsState, made.due], ['loaded', false, true, G])
    assert.equal(made.stopKeeping(G), true)
    assert.deepEqual([made.keepsState, made.due], [false, NEVER])
  })

  it('18: nothing is due while an entry is pending', () => {
    const made = presence()
    const visitor = entry('request')
    made.enter(visitor, 0)
    made.leave(visitor, {}, 0)
    made.pendingEntries++
    assert.equal(made.due, NEVER)
    assert.equal(made.stopKeeping(G), false)
    made.pendingEntries--
    assert.equal(made.due, D)
  })

  for (const phase of ['new', 'returned', 'loaded'] as const) {
    it(`18: an answer \`${phase}\` sets the load, and the entry keeps it`, () => {
      const made = left()
      made.unloadedElsewhere()
      const answer = admitted({ phase, load: 3, hadPage: true })
      assert.equal(made.answered(answer, 5_000), true)
      assert.equal(made.enter(entry('request'), 5_000, answer), false)
      assert.deepEqual([made.phase, made.load, made.hadPage, made.everHadPage], ['loaded', 3, true, true])
      assert.deepEqual([made.keepsLoaded, made.keepsState, made.waiting], [true, true, 0])
      // A known load isn't reported again.
      assert.equal(made.answered(answer, 6_000), false)
    })
  }

  it('18: an answer `unloading` makes the entry wait', () => {
    const made = left()
    const answer = admitted({ phase: 'unloading', load: 1 })
    assert.equal(made.answered(answer, D), false)
    const visitor = entry('page')
    assert.equal(made.enter(visitor, D, answer), false)
    assert.deepEqual([made.phase, made.load, made.waiting, visitor.isWaiting], ['unloaded', 1, 1, true])
    assert.deepEqual([made.keepsLoaded, made.due], [true, NEVER])
    made.leave(visitor, {}, D)
    // Then this node no longer keeps the load after it.
    assert.equal(made.unloadDue, 0)
  })

  it('18: an answer `unloading` changes nothing on the node where the hooks run', () => {
    const made = left()
    made.beginUnload()
    made.answered(admitted({ phase: 'unloading' }), D)
    assert.equal(made.phase, 'unloading')
  })

  it('18: a page uses an expectation here only if the answer says so', () => {
    for (const isExpectedHere of [true, false]) {
      const made = presence()
      const navigation = entry('navigation')
      made.enter(navigation, 0)
      made.leave(navigation, { awaitPage: true }, 0)
      made.enter(entry('page'), 0, admitted({ isExpectedHere }))
      assert.equal(made.expected(0).length, isExpectedHere ? 0 : 1)
    }
  })

  it('19: unloaded on another node, no page is expected, and entries here no longer keep that load', () => {
    const made = presence()
    const navigation = entry('navigation')
    made.enter(navigation, 0)
    made.leave(navigation, { awaitPage: true }, 0)
    made.enter(entry('request'), 0)
    made.unloadedElsewhere()
    assert.deepEqual([made.phase, made.expected(0), made.unloadDue], ['unloaded', [], 0])
    assert.equal(made.endDue, NEVER)
  })

  it('20: loaded on another node, waiting entries continue, as after an unload here', () => {
    const made = left()
    const answer = admitted({ phase: 'unloading' })
    made.answered(answer, D)
    const visitor = entry('request')
    let isReleased = false
    visitor.onReleased = () => {
      isReleased = true
    }
    made.enter(visitor, D, answer)
    assert.equal(made.loadedElsewhere(2, false, 5_000), true)
    assert.deepEqual([made.phase, made.load, visitor.isWaiting, isReleased], ['loaded', 2, false, true])
    made.leave(visitor, {}, 5_000)
    assert.equal(made.due, 5_000 + D)
    assert.equal(made.loadedElsewhere(2, false, 5_000), false)
  })

  it('20: loaded on another node, a node keeps the load if it has an entry that does', () => {
    for (const [kinds, hadPage, keeps] of [
      [[], false, false],
      [['request'], false, true],
      [['request'], true, false],
      [['navigation'], true, true],
      [['page'], true, true],
    ] as const) {
      const made = left()
      for (const kind of kinds) made.enter(entry(kind), 0)
      made.unloadedElsewhere()
      made.stopKeeping(G - 1)
      assert.equal(made.keepsLoaded, false)
      made.loadedElsewhere(2, hadPage, G - 1)
      assert.equal(made.keepLoaded(G - 1), keeps, kinds.join())
      assert.equal(made.keepsLoaded, keeps)
      assert.equal(made.keepLoaded(G - 1), false, 'a second time')
    }
  })

  it('20: loaded on another node, an expiry is cancelled', () => {
    const made = left()
    made.expire(D, 1_000)
    made.loadedElsewhere(2, false, D)
    assert.equal(made.reason, 'disconnected')
  })

  it('21: a page on another node is a page of this load, and requests no longer keep it', () => {
    const made = presence()
    made.enter(entry('request'), 0)
    assert.equal(made.unloadDue, NEVER)
    made.pageElsewhere(false, 0)
    assert.deepEqual([made.hadPage, made.everHadPage, made.pages, made.unloadDue], [true, true, 0, D])
  })

  it('21: a page on another node uses an expectation here if the event says so', () => {
    for (const isExpectedHere of [true, false]) {
      const made = presence()
      const navigation = entry('navigation')
      made.enter(navigation, 0)
      made.leave(navigation, { awaitPage: true }, 0)
      made.pageElsewhere(isExpectedHere, 0)
      assert.equal(made.expected(0).length, isExpectedHere ? 0 : 1)
    }
  })

  it('22: ended on another node, waiting entries continue, and nothing is due', () => {
    const made = left()
    const answer = admitted({ phase: 'unloading' })
    made.answered(answer, D)
    const visitor = entry('request')
    made.enter(visitor, D, answer)
    made.end()
    assert.deepEqual([visitor.isWaiting, made.waiting, made.due, made.phase], [false, 0, NEVER, 'ended'])
  })
})
