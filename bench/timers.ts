import { TimerWheel, WheelNode } from '../lib/util/timer-wheel.js'
import { BELOW_BASELINE, compare, type Result } from './harness/result.js'
import { inTurns } from './harness/turns.js'

const COUNT = 100_000
const ROUNDS = 7
const HOUR = 3_600_000

/** One way to store deadlines. Each method is called for all of them. */
interface Contender {
  schedule(index: number, due: number): void
  move(index: number, due: number): void
  cancel(index: number): void
}

/** In milliseconds. */
type Figures = Record<keyof Contender, number>

export async function run(): Promise<Result[]> {
  const figures = await inTurns(ROUNDS, {
    wheel: () => measure(wheel),
    heap: () => measure(heap),
    timeouts: () => measure(timeouts),
  })
  const row = (step: keyof Contender, name: string, theirs: Figures[]) =>
    compare({
      metric: step,
      unit: 'ms',
      ours: figures.wheel.map(each => each[step]),
      baseline: { name, rounds: theirs.map(each => each[step]) },
      goal: BELOW_BASELINE,
    })
  const steps = ['schedule', 'move', 'cancel'] as const
  return [
    ...steps.map(step => row(step, 'a binary heap', figures.heap)),
    ...steps.map(step => row(step, 'a setTimeout each', figures.timeouts)),
  ]
}

async function measure(make: () => Contender): Promise<Figures> {
  const contender = make()
  const figures = {
    schedule: time(index => contender.schedule(index, dueOf(index))),
    move: time(index => contender.move(index, dueOf(index + COUNT / 2))),
    cancel: time(index => contender.cancel(index)),
  }
  // Releases cancelled timers.
  await new Promise(setImmediate)
  return figures
}

function time(step: (index: number) => void): number {
  const begun = performance.now()
  for (let index = 0; index < COUNT; index++) step(index)
  return performance.now() - begun
}

/** The same deadlines for all contenders, in random order. */
function dueOf(index: number): number {
  return ((index * 2_654_435_761) % HOUR) + 0.5
}

function wheel(): Contender {
  const wheel = new TimerWheel<WheelNode>()
  const nodes = Array.from({ length: COUNT }, () => new WheelNode())
  const schedule = (index: number, due: number) => wheel.schedule(nodes[index] as WheelNode, due)
  return { schedule, move: schedule, cancel: index => wheel.cancel(nodes[index] as WheelNode) }
}

function timeouts(): Contender {
  const timers: NodeJS.Timeout[] = new Array(COUNT)
  const schedule = (index: number, due: number) => {
    timers[index] = setTimeout(() => {}, due).unref()
  }
  const cancel = (index: number) => clearTimeout(timers[index])
  return {
    schedule,
    move(index, due) {
      cancel(index)
      schedule(index, due)
    },
    cancel,
  }
}

/** A heap whose items store their position, so that they can be moved and cancelled. */
function heap(): Contender {
  interface Item {
    due: number
    place: number
  }
  const items = Array.from({ length: COUNT }, (): Item => ({ due: 0, place: -1 }))
  const tree: Item[] = []

  function put(item: Item, place: number): void {
    tree[place] = item
    item.place = place
  }
  function up(item: Item): void {
    let { place } = item
    while (place > 0) {
      const parent = tree[(place - 1) >> 1] as Item
      if (parent.due <= item.due) break
      put(parent, place)
      place = (place - 1) >> 1
    }
    put(item, place)
  }
  function down(item: Item): void {
    let { place } = item
    for (;;) {
      let child = 2 * place + 1
      if (child >= tree.length) break
      if (child + 1 < tree.length && (tree[child + 1] as Item).due < (tree[child] as Item).due) child++
      if ((tree[child] as Item).due >= item.due) break
      put(tree[child] as Item, place)
      place = child
    }
    put(item, place)
  }
  return {
    schedule(index, due) {
      const item = items[index] as Item
      item.due = due
      item.place = tree.length
      tree.push(item)
      up(item)
    },
    move(index, due) {
      const item = items[index] as Item
      item.due = due
      up(item)
      down(item)
    },
    cancel(index) {
      const item = items[index] as Item
      const last = tree.pop() as Item
      if (last === item) return
      put(last, item.place)
      up(last)
      down(last)
    },
  }
}
