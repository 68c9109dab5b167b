import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { AgeQueue } from '../../lib/files/age-queue.ts'

describe('the queue of ages', () => {
  const file = (createdAt: number) => ({ createdAt, pins: 0 })

  it('returns files of at least that age, in the order of creation', () => {
    const queue = new AgeQueue<ReturnType<typeof file>>()
    const files = [1, 2, 2, 3].map(file)
    for (const each of files) queue.add(each)
    assert.deepEqual([...queue.due(0)], [])
    for (let times = 0; times < 2; times++) assert.deepEqual([...queue.due(2)], files.slice(0, 3))
    assert.deepEqual([...queue.due(9)], files)
  })

  it('skips a pinned file until it is released', () => {
    const queue = new AgeQueue<ReturnType<typeof file>>()
    const [pinned, other] = [file(1), file(2)]
    pinned.pins = 1
    queue.add(pinned)
    queue.add(other)
    assert.deepEqual([...queue.due(5)], [other])
    pinned.pins = 0
    assert.deepEqual([...queue.due(5)], [pinned, other])
  })

  it('reads each file when it is reached, not before', () => {
    const queue = new AgeQueue<ReturnType<typeof file>>()
    const [first, second, third, fourth] = [1, 2, 3, 4].map(file)
    for (const each of [first!, second!, third!, fourth!]) queue.add(each)
    const due = queue.due(5)
    assert.equal(due.next().value, first)
    // A file that was returned may be deleted, and one that is still to come deleted or pinned.
    queue.delete(first!)
    queue.delete(second!)
    third!.pins = 1
    assert.equal(due.next().value, fourth)
    assert.ok(due.next().done)
  })

  it('returns a file that couldn’t be deleted once in each round', () => {
    const queue = new AgeQueue<ReturnType<typeof file>>()
    const files = [1, 2].map(file)
    for (const each of files) queue.add(each)
    for (let round = 0; round < 3; round++) assert.deepEqual([...queue.due(5)], files)
    for (const each of files) queue.delete(each)
    assert.deepEqual([...queue.due(5)], [])
  })

  it('iterates only over files that are due', () => {
    const queue = new AgeQueue<{ createdAt: number; pins: number }>()
    let looks = 0
    for (let i = 0; i < 10_000; i++) {
      queue.add({
        pins: 0,
        get createdAt() {
          looks++
          return i
        },
      })
    }
    assert.equal([...queue.due(9)].length, 10)
    assert.equal(looks, 11)
  })
})
