// Which tokens show that two workers of node:cluster serve the same users.

import assert from 'node:assert/strict'
import type { IncomingMessage } from 'node:http'
import { it } from 'node:test'
import { randomToken } from '../../lib/identity/token.ts'
import { WorkerTags } from '../../lib/identity/worker-tags.ts'

const at = (address: string | { port: number } | null) =>
  ({ socket: { server: { address: () => address } } }) as unknown as IncomingMessage

/** A machine: two primaries, and workers by their pid, parent and start in seconds. */
function machine(workers: Record<number, [parent: number, started: number]>) {
  const all = new Map(
    Object.entries({ 10: [1, 5], 20: [1, 5], ...workers }).map(([pid, [parent = 1, started = 0]]) => [
      Number(pid),
      { parent, started: String(started * 100) },
    ]),
  )
  const warned: number[] = []
  const worker = (pid: number) =>
    new WorkerTags(
      () => warned.push(pid),
      pid,
      pid => all.get(pid),
    )
  /** Whether the second worker warns about a token that the first one has created. */
  function warns(first: number, second: number, [from, to] = [at({ port: 80 }), at({ port: 80 })]) {
    warned.length = 0
    const token = randomToken() + worker(first).tagFor(from)
    worker(second).check(token, to)
    return warned.includes(second)
  }
  return { all, warns, worker, warned }
}

it('that of a worker that was started together with this one, at the same port', () => {
  const { warns } = machine({ 100: [10, 1000], 101: [10, 1003], 4000000: [10, 1005] })
  for (const first of [100, 101, 4_000_000])
    for (const second of [100, 101, 4_000_000]) assert.equal(warns(first, second), first !== second)
  assert.equal(warns(100, 101, [at('/run/app.sock'), at('/run/app.sock')]), true)
})

it('not that of a sticky worker: it has another port, or none', () => {
  const { warns } = machine({ 100: [10, 1000], 101: [10, 1000] })
  for (const [from, to] of [
    [at({ port: 80 }), at({ port: 81 })],
    [at(null), at(null)],
    [at('/run/1.sock'), at('/run/2.sock')],
  ] as const)
    assert.equal(warns(100, 101, [from, to]), false)
})

it('not that of a worker which this one replaces, or which replaces this one', () => {
  const { warns } = machine({ 100: [10, 1000], 101: [10, 1011] })
  assert.equal(warns(100, 101), false)
  assert.equal(warns(101, 100), false)
})

it('not that of a process of another primary, as with blue and green deployments', () => {
  const { warns } = machine({ 100: [10, 1000], 200: [20, 1000] })
  assert.equal(warns(100, 200), false)
})

it('not that of a dead worker, nor of one whose pid was reused', () => {
  const { all, worker, warned } = machine({ 100: [10, 1000], 101: [10, 1000] })
  const req = at({ port: 80 })
  const token = randomToken() + worker(100).tagFor(req)
  for (const now of [undefined, { parent: 10, started: '100050' }]) {
    all.delete(100)
    if (now !== undefined) all.set(100, now)
    worker(101).check(token, req)
  }
  assert.deepEqual(warned, [])
})

it('not one without a tag, nor an invented one', () => {
  const { worker, warned } = machine({ 100: [10, 1000], 101: [10, 1000] })
  for (const token of [
    randomToken(),
    `${randomToken()}AAAAAAAAAAAA`,
    `m.${'_'.repeat(64)}`,
    'of-a-framework-session',
  ])
    worker(101).check(token, at({ port: 80 }))
  assert.deepEqual(warned, [])
})

it('without /proc, tokens have no tag', () => {
  assert.equal(new WorkerTags(assert.fail, 100, () => undefined).tagFor(at({ port: 80 })), '')
})
