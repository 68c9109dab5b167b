import assert from 'node:assert/strict'
import { it } from 'node:test'
import fc from 'fast-check'
import { TimerWheel, WheelNode } from '../../lib/util/timer-wheel.ts'

class Node extends WheelNode {
  readonly name: number

  constructor(name: number) {
    super()
    this.name = name
  }
}

/** A reference implementation with a sorted array. A wheel rounds up to whole milliseconds. */
class SortedArray {
  readonly #dues = new Map<number, number>()

  /** Overdue nodes are due now. */
  schedule(name: number, due: number, now: number): void {
    this.#dues.delete(name)
    if (due !== Number.POSITIVE_INFINITY) this.#dues.set(name, Math.max(Math.ceil(due), Math.floor(now)))
  }

  cancel(name: number): void {
    this.#dues.delete(name)
  }

  get size(): number {
    return this.#dues.size
  }

  get first(): number | undefined {
    return [...this.#dues.values()].sort((a, b) => a - b)[0]
  }

  /** The due nodes, by their due time. Within one millisecond, any order is right. */
  dueAt(now: number): [due: number, name: number][] {
    const due = [...this.#dues]
      .filter(([, due]) => due <= now)
      .map(([name, due]): [number, number] => [due, name])
    return due.sort((a, b) => a[0] - b[0])
  }
}

const NODES = 12
const YEAR = 365 * 86_400_000

const name = fc.integer({ min: 0, max: NODES - 1 })
/** Near and far, whole and fractional, past and never. */
const delay = fc.oneof(
  fc.integer({ min: -50, max: 100 }),
  fc.double({ min: 0, max: 3000, noNaN: true }),
  fc.integer({ min: 0, max: 2 ** 31 }),
  fc.integer({ min: 0, max: 100 * YEAR }),
  fc.constantFrom(31, 32, 33, 1023, 1024, 1025, 2 ** 40 - 1, 2 ** 40, 2 ** 40 + 1, Number.POSITIVE_INFINITY),
)
const step = fc.oneof(
  fc.constantFrom(0, 1, 31, 32, 33, 1024),
  fc.double({ min: 0, max: 5000, noNaN: true }),
  fc.integer({ min: 0, max: YEAR }),
  fc.integer({ min: 0, max: 60 * YEAR }),
)
type Command =
  | { readonly do: 'schedule'; readonly name: number; readonly delay: number }
  | { readonly do: 'cancel'; readonly name: number }
  | { readonly do: 'pass'; readonly step: number; readonly limit: number }
const command: fc.Arbitrary<Command> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ do: fc.constant('schedule' as const), name, delay }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('cancel' as const), name }) },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant('pass' as const), step, limit: fc.integer({ min: 1, max: 9 }) }),
  },
)
/** The initial time of the clock: `performance.now()` starts with the process, other clocks in 1970. */
const start = fc.constantFrom(0, 0.5, 12_345.678, Date.UTC(2026, 0, 1), 2 ** 40 - 3)

it('returns the same nodes as a sorted array, whatever is scheduled, moved and canceled', () => {
  fc.assert(
    fc.property(start, fc.array(command, { maxLength: 60 }), (start, commands) => {
      const wheel = new TimerWheel<Node>()
      const model = new SortedArray()
      const nodes = Array.from({ length: NODES }, (_, name) => new Node(name))
      let now = start
      for (const command of commands) {
        if (command.do === 'schedule') {
          wheel.schedule(nodes[command.name] as Node, now + command.delay)
          model.schedule(command.name, now + command.delay, now)
        } else if (command.do === 'cancel') {
          wheel.cancel(nodes[command.name] as Node)
          model.cancel(command.name)
        } else {
          now += command.step
          expire(wheel, model, now, command.limit)
        }
        assert.equal(wheel.size, model.size)
        checkNext(wheel, model)
      }
      now += 200 * YEAR
      expire(wheel, model, now, 7)
      assert.equal(wheel.size, 0)
      assert.equal(wheel.next(), undefined)
    }),
    { numRuns: 1_000 },
  )
})

/** Processes what is due at `now`, in slices, and compares the order with the reference. */
function expire(wheel: TimerWheel<Node>, model: SortedArray, now: number, limit: number): void {
  const expected = model.dueAt(now)
  const dues = new Map(expected.map(([due, name]) => [name, due]))
  const taken: number[] = []
  for (let slices = 0; (wheel.next() ?? Number.POSITIVE_INFINITY) <= now; slices++) {
    assert.ok(slices < 1_000, 'work that is said to be due has to be done')
    let inSlice = 0
    wheel.expire(now, limit, node => {
      inSlice++
      model.cancel(node.name)
      taken.push(node.name)
    })
    assert.ok(inSlice <= limit)
  }
  assert.deepEqual([...taken].sort(), expected.map(([, name]) => name).sort())
  assert.deepEqual(
    taken.map(name => dues.get(name)),
    expected.map(([due]) => due),
  )
}

/** Never too late, and never endless: there is work exactly while there is a node. */
function checkNext(wheel: TimerWheel<Node>, { first }: SortedArray): void {
  const next = wheel.next()
  if (first === undefined) assert.equal(next, undefined)
  else assert.ok((next as number) <= first, `${next} > ${first}`)
}

it('next() is never too late, in any state of the wheel', () => {
  const schedule = fc.record({ after: step, delay: fc.oneof(fc.nat(5_000), fc.nat(100 * YEAR)) })
  fc.assert(
    fc.property(start, fc.array(schedule, { maxLength: 30 }), (start, schedules) => {
      const wheel = new TimerWheel<Node>()
      let now = start
      for (const [index, { after, delay }] of schedules.entries()) {
        now += after
        while ((wheel.next() ?? Number.POSITIVE_INFINITY) <= now) wheel.expire(now, 100, () => {})
        wheel.schedule(new Node(index), now + delay)
        assert.ok((wheel.next() as number) <= Math.ceil(now + delay))
      }
    }),
    { numRuns: 500 },
  )
})

it('within one millisecond, returns nodes in the order in which they were scheduled', () => {
  for (const due of [5, 40, 5_000, 2 ** 33]) {
    const wheel = new TimerWheel<Node>()
    const taken: number[] = []
    for (let name = 0; name < 10; name++) wheel.schedule(new Node(name), due)
    wheel.expire(due, 1_000, node => taken.push(node.name))
    assert.deepEqual(taken, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
  }
})

it('returns nothing too early, to the fraction of a millisecond', () => {
  const wheel = new TimerWheel<Node>()
  wheel.schedule(new Node(0), 10.25)
  const taken: number[] = []
  for (const now of [9.999, 10, 10.2]) wheel.expire(now, 10, node => taken.push(node.name))
  assert.equal(taken.length, 0)
  wheel.expire(11, 10, node => taken.push(node.name))
  assert.deepEqual(taken, [0])
})

it('may be scheduled and cancelled from within `take`', () => {
  const wheel = new TimerWheel<Node>()
  const [first, again, cancelled, late, moved] = [0, 1, 2, 3, 4].map(name => new Node(name)) as [
    Node,
    Node,
    Node,
    Node,
    Node,
  ]
  for (const node of [first, again, cancelled, moved]) wheel.schedule(node, 100)
  const taken: number[] = []
  wheel.expire(100, 50, node => {
    taken.push(node.name)
    if (node === first) {
      wheel.cancel(cancelled)
      wheel.schedule(late, 101)
      wheel.schedule(moved, 5_000)
    }
    // Nodes that are already due are passed on in the same call.
    if (node === again && taken.filter(name => name === again.name).length < 3) wheel.schedule(again, 50)
  })
  assert.deepEqual(taken, [0, 1, 1, 1])
  assert.equal(wheel.size, 2)
  wheel.expire(200, 50, node => taken.push(node.name))
  wheel.expire(5_000, 50, node => taken.push(node.name))
  assert.deepEqual(taken, [0, 1, 1, 1, 3, 4])
})

it('continues after `take` has thrown, without the node', () => {
  const wheel = new TimerWheel<Node>()
  for (let name = 0; name < 3; name++) wheel.schedule(new Node(name), 10)
  const taken: number[] = []
  const take = (node: Node) => {
    taken.push(node.name)
    if (node.name === 0) throw new Error('broken')
  }
  assert.throws(() => wheel.expire(10, 50, take), /broken/)
  assert.equal(wheel.size, 2)
  wheel.expire(10, 50, take)
  assert.deepEqual(taken, [0, 1, 2])
})

it('takes steps in proportion to the due nodes, not to the waiting ones', () => {
  const wheel = new TimerWheel<Node>()
  for (let name = 0; name < 10_000; name++) wheel.schedule(new Node(name), 3_600_000 + name)
  let due = 0
  for (let name = 0; name < 10; name++) wheel.schedule(new Node(name), 100)
  wheel.expire(100, 30, () => due++)
  assert.equal(due, 10)
})
