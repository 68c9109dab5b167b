import assert from 'node:assert/strict'
import { it } from 'node:test'
import { after, inOrder } from '../../lib/util/thenable.ts'

it('after() goes on at once, unless there is a promise to wait for', async () => {
  assert.equal(
    after(1, value => value + 1),
    2,
  )
  const later = after(Promise.resolve(1), value => value + 1)
  assert.ok(later instanceof Promise)
  assert.equal(await later, 2)
})

it('steps in order wait for each other, and give a promise only if one of them does', async () => {
  const log: number[] = []
  const note = (step: number) => () => void log.push(step)
  assert.equal(inOrder([note(1), note(2)]), undefined)
  assert.deepEqual(log.splice(0), [1, 2])
  const later = inOrder([
    note(1),
    () => Promise.resolve().then(note(2)),
    note(3),
    async () => note(4)(),
    note(5),
  ])
  assert.deepEqual(log, [1])
  await later
  assert.deepEqual(log, [1, 2, 3, 4, 5])
})
