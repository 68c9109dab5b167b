import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { EntryKind, LeaveOptions, PresenceEntry } from '../../lib/sessions/entry.ts'
import { Presence } from '../../lib/sessions/presence.ts'

// The state machine alone, without a clock: one test for each row of docs/decisions/presence.md, and tests of its invariants.

const UNLOAD_DELAY = 2_000
const GRACE = 12_000
const RECONNECT = 1_500
const PAGE_LOAD = 30_000

/** One session without a cluster: does what its presence says is due, as the library does. */
class Scene {
  now = 0
  readonly presence: Presence
  /** The events, with their times in seconds. */
  readonly log: string[] = []
  #hooksEnd = Number.POSITIVE_INFINITY
  readonly #hooks: number

  /** @param hooks how long unload hooks take */
  constructor({ hooks = 0, gracePeriod = GRACE, parent }: Partial<Setting> = {}) {
    this.#hooks = hooks
    this.presence = new Presence({ unloadDelay: UNLOAD_DELAY, gracePeriod }, parent)
  }

  enter(kind: EntryKind): PresenceEntry {
    const entry: PresenceEntry = { kind, left: false, isWaiting: false }
    if (this.presence.enter(entry, this.now)) this.#note(`load ${this.presence.load}`)
    return entry
  }

  leave(entry: PresenceEntry, departure: LeaveOptions = {}): void {
    this.presence.leave(entry, departure, this.now)
  }

  /** Advances the time, and does what becomes due. Returns the events. */
  pass(seconds: number): string[] {
    const { presence } = this
    const until = this.now + seconds * 1_000
    for (;;) {
      const next = Math.max(Math.min(presence.due, this.#hooksEnd), this.now)
      if (next > until) break
      this.now = next
      if (this.#hooksEnd <= next) this.#completeUnload()
      else this.#stopKeeping()
    }
    this.now = until
    return this.log.splice(0)
  }

  #stopKeeping(): void {
    const { presence } = this
    presence.stopKeeping(this.now)
    if (!presence.keepsState) {
      this.#note(`end ${presence.reason}`)
      presence.end()
    } else if (presence.phase === 'loaded') {
      this.#note(`unload ${presence.reason}`)
      presence.beginUnload()
      if (this.#hooks > 0) this.#hooksEnd = this.now + this.#hooks
      else presence.completeUnload(this.now)
    }
  }

  #completeUnload(): void {
    this.#hooksEnd = Number.POSITIVE_INFINITY
    if (this.presence.completeUnload(this.now)) this.#note(`load ${this.presence.load}`)
  }

  #note(what: string): void {
    this.log.push(`${this.now / 1_000} ${what}`)
  }
}

interface Setting {
  readonly hooks: number
  readonly gracePeriod: number
  readonly parent: Presence
}

/** A session whose only page has left, and which is unloaded at second 2. */
function unloaded(setting?: Partial<Setting>): Scene {
  const scene = new Scene(setting)
  scene.leave(scene.enter('page'))
  assert.deepEqual(scene.pass(3), ['2 unload disconnected'])
  return scene
}

/** A session whose unload hooks have been running for a second, and take one more. */
function unloading(): Scene {
  const scene = new Scene({ hooks: 2_000 })
  scene.leave(scene.enter('page'))
  assert.deepEqual(scene.pass(3), ['2 unload disconnected'])
  assert.equal(scene.presence.phase, 'unloading')
  return scene
}

const KINDS: readonly EntryKind[] = ['page', 'request', 'navigation']

describe('presence, row by row:', () => {
  it('1: a session starts loaded, and nothing is due while its first entry is present', () => {
    const scene = new Scene()
    scene.enter('request')
    const { phase, load, due } = scene.presence
    assert.deepEqual([phase, load, due, scene.log], ['loaded', 1, Number.POSITIVE_INFINITY, []])
  })

  it('1: a session without an entry ends one grace period later', () => {
    const scene = new Scene()
    scene.presence.beginWithoutEntry(0)
    assert.equal(scene.presence.endsAt, GRACE)
    assert.deepEqual(scene.pass(20), ['0 unload disconnected', '12 end disconnected'])
  })

  for (const kind of KINDS) {
    it(`2: a ${kind} loads an unloaded session again, and cancels its end`, () => {
      const scene = unloaded()
      const back = scene.enter(kind)
      assert.deepEqual(scene.pass(50), ['3 load 2'])
      assert.equal(scene.presence.hadPage, kind === 'page')
      assert.deepEqual([scene.presence.keepsLoaded, scene.presence.keepsState], [true, true])
      scene.leave(back)
      assert.deepEqual(scene.pass(50), ['55 unload disconnected', '65 end disconnected'])
    })

    it(`2: a ${kind} cancels an expiry`, () => {
      const scene = new Scene()
      scene.leave(scene.enter('request'))
      scene.presence.expire(0, 5_000)
      const back = scene.enter(kind)
      assert.deepEqual(scene.pass(10), [])
      scene.leave(back)
      assert.deepEqual(scene.pass(20), ['12 unload disconnected', '22 end disconnected'])
    })
  }

  it('3: an entry during unload hooks waits, and is present at once', () => {
    const scene = unloading()
    const entry = scene.enter('request')
    assert.deepEqual([entry.isWaiting, scene.presence.waiting, scene.presence.requests], [true, 1, 1])
    assert.equal(scene.presence.phase, 'unloading')
    assert.deepEqual(scene.pass(0.9), [])
  })

  for (const kind of ['request', 'navigation'] as const) {
    it(`4: a ${kind} postpones the unload from its arrival`, () => {
      const scene = new Scene()
      scene.leave(scene.enter('page'))
      scene.pass(1)
      scene.leave(scene.enter(kind))
      assert.deepEqual(scene.pass(5), ['3 unload disconnected'])
    })
  }

  it('5: a page uses the expectation with the earliest deadline, and no other', () => {
    const scene = new Scene({ gracePeriod: 60_000 })
    const navigations = [scene.enter('navigation'), scene.enter('navigation')] as const
    scene.leave(navigations[0], { awaitPage: true })
    scene.pass(10)
    scene.leave(navigations[1], { awaitPage: true })
    scene.leave(scene.enter('page'))
    assert.deepEqual(scene.presence.expected(scene.now), [10_000 + PAGE_LOAD])
    assert.deepEqual(scene.pass(40), ['40 unload disconnected'])
  })

  it('5: a page after the deadline of an expectation uses none', () => {
    const scene = new Scene()
    scene.leave(scene.enter('navigation'), { awaitPage: true })
    const stays = scene.enter('navigation')
    scene.pass(31)
    scene.enter('page')
    assert.equal(scene.presence.navigationsWithoutPage, 0)
    scene.leave(stays, { awaitPage: true })
    assert.deepEqual(scene.presence.expected(scene.now), [])
  })

  it('6: the end is due one grace period after the last entry has left, of any kind', () => {
    for (const kind of KINDS) {
      const scene = new Scene()
      const [first, last] = [scene.enter('page'), scene.enter(kind)]
      scene.leave(first)
      scene.pass(20)
      scene.leave(last)
      scene.log.length = 0
      assert.equal(scene.pass(30).at(-1), '32 end disconnected')
    }
  })

  it('6: a second leave of an entry does not affect another one', () => {
    const scene = new Scene()
    const [gone] = [scene.enter('page'), scene.enter('page')]
    scene.leave(gone)
    scene.leave(gone)
    assert.equal(scene.presence.pages, 1)
    assert.deepEqual(scene.pass(100), [])
  })

  it('6: an entry that leaves no longer waits', () => {
    const scene = unloading()
    scene.leave(scene.enter('page'))
    assert.equal(scene.presence.waiting, 0)
    assert.deepEqual(scene.pass(20), ['15 end disconnected'])
  })

  it('7: a request that leaves postpones the unload only if there was no page', () => {
    const scene = new Scene()
    const slow = scene.enter('request')
    scene.pass(5)
    scene.leave(slow)
    assert.deepEqual(scene.pass(3), ['7 unload disconnected'])
    const next = scene.enter('request')
    scene.leave(scene.enter('page'))
    scene.pass(1)
    scene.leave(next)
    assert.deepEqual(scene.pass(2), ['10 unload disconnected'])
  })

  it('8: a navigation answered with HTML expects its page, another response none', () => {
    for (const awaitPage of [true, false]) {
      const scene = new Scene({ gracePeriod: 60_000 })
      scene.leave(scene.enter('navigation'), { awaitPage })
      assert.deepEqual(scene.pass(29)[0], awaitPage ? undefined : '2 unload disconnected')
    }
  })

  it('8: a navigation whose page connected early expects no other', () => {
    const scene = new Scene()
    const coming = scene.enter('navigation')
    const early = scene.enter('page')
    scene.leave(coming, { awaitPage: true })
    scene.leave(early)
    assert.deepEqual(scene.pass(5), ['2 unload disconnected'])
  })

  it("8: an expected page that never connects doesn't prevent the unload", () => {
    const scene = new Scene({ gracePeriod: 60_000 })
    scene.leave(scene.enter('navigation'), { awaitPage: true })
    assert.deepEqual(scene.pass(29), [])
    assert.deepEqual(scene.pass(2), ['30 unload disconnected'])
  })

  it('9: after the goodbye of a page, the unload is due after the unload delay', () => {
    const scene = new Scene()
    const [first, last] = [scene.enter('page'), scene.enter('page')]
    scene.leave(first)
    assert.deepEqual(scene.pass(9), [])
    scene.leave(last)
    assert.deepEqual(scene.pass(2), ['11 unload disconnected'])
  })

  it('10: a goodbye that announces a reload expects the next page', () => {
    const scene = new Scene({ gracePeriod: 60_000 })
    scene.leave(scene.enter('page'), { reloads: true })
    assert.deepEqual(scene.presence.expected(0), [PAGE_LOAD])
    assert.deepEqual(scene.pass(29), [])
    scene.leave(scene.enter('page'))
    assert.deepEqual(scene.pass(2), ['31 unload disconnected'])
  })

  it('10: a reload whose navigation is present, or was answered already, expects one page and not two', () => {
    const scene = new Scene()
    const old = scene.enter('page')
    const coming = scene.enter('navigation')
    scene.leave(old, { reloads: true })
    assert.deepEqual(scene.presence.expected(0), [])
    scene.leave(coming, { awaitPage: true })
    scene.leave(scene.enter('page'), { reloads: true })
    assert.deepEqual(scene.presence.expected(0), [PAGE_LOAD])
    scene.enter('page')
    assert.deepEqual(scene.presence.expected(0), [])
  })

  it('10: a reload whose navigation arrives after its goodbye expects one page and not two', () => {
    for (const isEarly of [true, false]) {
      const scene = new Scene()
      scene.leave(scene.enter('page'), { reloads: true })
      const coming = scene.enter('navigation')
      scene.pass(1)
      if (isEarly) scene.enter('page')
      scene.leave(coming, { awaitPage: true })
      assert.deepEqual(scene.presence.expected(scene.now), isEarly ? [] : [scene.now + PAGE_LOAD])
      if (!isEarly) scene.enter('page')
      assert.deepEqual(scene.presence.expected(scene.now), [])
    }
  })

  it('10: a download that starts after the goodbye of a reload leaves its page expected', () => {
    const scene = new Scene()
    scene.leave(scene.enter('page'), { reloads: true })
    scene.leave(scene.enter('navigation'))
    assert.deepEqual(scene.presence.expected(0), [PAGE_LOAD])
  })

  it('11: a page whose socket broke has time to reconnect', () => {
    const scene = new Scene()
    scene.leave(scene.enter('page'), { abrupt: true })
    assert.deepEqual(scene.pass(3), [])
    assert.deepEqual(scene.pass(1), [`${(UNLOAD_DELAY + RECONNECT) / 1_000} unload disconnected`])
  })

  it('12: an expiry makes the unload due at once, and the end after the rest of the grace period', () => {
    for (const kind of ['request', 'navigation'] as const) {
      const scene = new Scene()
      scene.leave(scene.enter('page'))
      const slow = scene.enter(kind)
      scene.presence.expire(0, 4_000)
      assert.deepEqual(scene.pass(9), ['0 unload expired'])
      scene.leave(slow)
      assert.deepEqual(scene.pass(20), ['21 end expired'])
    }
  })

  it('12: an expiry of an unloaded session moves its end in both directions, without a second unload', () => {
    for (const endIn of [1_000, 20_000]) {
      const scene = unloaded()
      scene.presence.expire(scene.now, endIn)
      assert.deepEqual(scene.pass(30), [`${3 + endIn / 1_000} end expired`])
    }
  })

  it('12: an expiry does not interrupt unload hooks, and the end comes after them', () => {
    const scene = unloading()
    scene.presence.expire(scene.now, 0)
    assert.deepEqual(scene.pass(5), ['4 end expired'])
  })

  it('13: nothing is due for an ended session, and late leaves do nothing', () => {
    for (const scene of [new Scene(), unloaded(), unloading()]) {
      const late = scene.enter('page')
      scene.log.length = 0
      scene.presence.end()
      scene.leave(late, { reloads: true })
      assert.equal(scene.presence.completeUnload(scene.now), false)
      assert.equal(scene.presence.phase, 'ended')
      assert.deepEqual(scene.pass(100), [])
    }
  })

  it('14: an unload that is due is done once', () => {
    const scene = unloaded()
    assert.equal(scene.presence.keepsLoaded, false)
    assert.equal(scene.presence.stopKeeping(scene.now), false)
  })

  it('15: an unload ends all expectations', () => {
    const scene = new Scene()
    scene.leave(scene.enter('navigation'), { awaitPage: true })
    scene.presence.expire(0, GRACE)
    assert.deepEqual(scene.pass(0), ['0 unload expired'])
    assert.deepEqual(scene.presence.expected(0), [])
  })

  for (const kind of KINDS) {
    it(`16: a ${kind} that waited finds the session loaded, once for all waiting entries`, () => {
      const scene = unloading()
      const all = [scene.enter(kind), scene.enter(kind)]
      assert.deepEqual(scene.pass(2), ['4 load 2'])
      assert.deepEqual([scene.presence.waiting, all.some(({ isWaiting }) => isWaiting)], [0, false])
      assert.equal(scene.presence.hadPage, kind === 'page')
      for (const entry of all) scene.leave(entry)
      assert.deepEqual(scene.pass(3), ['7 unload disconnected'])
    })
  }

  it('16: an entry that waited and left before the session is loaded again still postpones its unload', () => {
    const scene = unloading()
    scene.enter('page')
    scene.leave(scene.enter('request'))
    assert.deepEqual(scene.pass(1), ['4 load 2'])
  })

  it('16: without waiting entries the session is unloaded', () => {
    const scene = unloading()
    scene.pass(2)
    assert.equal(scene.presence.phase, 'unloaded')
  })

  it('17: an end that is due before the unload has no unload', () => {
    const scene = new Scene({ gracePeriod: 1_000 })
    scene.leave(scene.enter('request'))
    assert.deepEqual(scene.pass(9), ['1 end disconnected'])
  })

  it('17: with an infinite grace period there is no end', () => {
    const scene = unloaded({ gracePeriod: Number.POSITIVE_INFINITY })
    assert.deepEqual(scene.pass(1e9), [])
  })
})

describe('presence:', () => {
  it('a page or a navigation that is present prevents the unload, a request only if there was no page', () => {
    for (const kind of KINDS) {
      const scene = new Scene()
      scene.enter(kind)
      assert.deepEqual(scene.pass(99), [])
      if (kind === 'page') continue
      scene.leave(scene.enter('page'))
      assert.deepEqual(scene.pass(9), kind === 'request' ? ['101 unload disconnected'] : [])
    }
  })

  it('nothing is due while an entry is pending', () => {
    const scene = new Scene()
    scene.leave(scene.enter('page'))
    scene.presence.pendingEntries++
    assert.deepEqual(scene.pass(99), [])
    scene.presence.pendingEntries--
    assert.deepEqual(scene.pass(0), ['99 end disconnected'])
  })

  it('a scope is loaded by its first entry, and unloads and ends independently', () => {
    const parent = new Scene()
    const stays = parent.enter('page')
    const scope = new Scene({ parent: parent.presence })
    assert.deepEqual([scope.presence.phase, scope.presence.load], ['unloaded', 0])
    scope.leave(scope.enter('request'))
    scope.leave(scope.enter('request'))
    assert.deepEqual(scope.pass(50), ['0 load 1', '2 unload disconnected', '12 end disconnected'])
    assert.deepEqual(parent.pass(50), [])
    parent.leave(stays)
    assert.deepEqual(parent.pass(50), ['52 unload disconnected', '62 end disconnected'])
  })

  it('an entry loads no scope of an unloaded parent', () => {
    const parent = unloaded()
    const scope = new Scene({ parent: parent.presence })
    const entry = scope.enter('request')
    assert.deepEqual([scope.presence.phase, entry.isWaiting, scope.pass(50)], ['unloaded', false, []])
    scope.leave(entry)
    assert.deepEqual(scope.pass(50), ['62 end disconnected'])
  })

  for (const isBack of [false, true]) {
    it(`an entry in a scope of an unloading parent waits, and loads it ${isBack ? 'after' : 'only if'} its parent`, () => {
      const parent = unloading()
      const scope = new Scene({ parent: parent.presence })
      if (isBack) parent.enter('page')
      const entry = scope.enter('request')
      assert.deepEqual([scope.presence.phase, entry.isWaiting, scope.log], ['unloading', true, []])
      assert.deepEqual(parent.pass(1), isBack ? ['4 load 2'] : [])
      assert.equal(scope.presence.completeUnload(4_000), isBack)
      assert.deepEqual(
        [scope.presence.phase, scope.presence.load, entry.isWaiting],
        isBack ? ['loaded', 1, false] : ['unloaded', 0, false],
      )
    })
  }
})
