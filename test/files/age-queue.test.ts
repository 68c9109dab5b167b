import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { AgeQueue } from '../../lib/files/age-queue.ts'

describe('the queue of ages', () => {
  const file = (createdAt: number) => ({ createdAt, isPinned: false })

  it('gives out what is as old as that or older, once', () => {
    const queue = new AgeQueue<ReturnType<typeof file>>()
    const files = [1, 2, 2, 3].map(file)
    for (const each of files) queue.add(each)
    assert.deepEqual([...queue.takeDue(0)], [])
    assert.deepEqual([...queue.takeDue(2)], files.slice(0, 3))
    assert.deepEqual([...queue.takeDue(2)], [])
    assert.deepEqual([...queue.takeDue(9)], files.slice(3))
  })

  it('holds a pinned file back until it is released', () => {
    const queue = new AgeQueue<ReturnType<typeof file>>()
    const [pinned, other] = [file(1), file(2)]
    pinned.isPinned = true
    queue.add(pinned)
    queue.add(other)
    assert.deepEqual([...queue.takeDue(5)], [other])
    assert.deepEqual([...queue.takeDue(5)], [])
    pinned.isPinned = false
    assert.deepEqual([...queue.takeDue(5)], [pinned])
    assert.deepEqual([...queue.takeDue(5)], [])
  })

  it('lets a file leave, held back or not', () => {
    const queue = new AgeQueue<ReturnType<typeof file>>()
    const [waiting, held] = [file(2), file(1)]
    queue.add(held)
    queue.add(waiting)
    queue.delete(waiting)
    held.isPinned = true
    assert.deepEqual([...queue.takeDue(5)], [])
    queue.delete(held)
    held.isPinned = false
    assert.deepEqual([...queue.takeDue(5)], [])
  })

  it('takes a file out when it is asked for, not before', () => {
    const queue = new AgeQueue<ReturnType<typeof file>>()
    const [first, second, third] = [1, 2, 3].map(file)
    for (const each of [first!, second!, third!]) queue.add(each)
    const due = queue.takeDue(5)
    assert.equal(due.next().value, first)
    queue.delete(second!)
    assert.equal(due.next().value, third)
    assert.ok(due.next().done)
  })

  it('gives out one that is held back meanwhile the next time', () => {
    const queue = new AgeQueue<ReturnType<typeof file>>()
    for (const each of [1, 2].map(file)) queue.holdBack(each)
    for (let times = 0; times < 2; times++) {
      const given = []
      for (const each of queue.takeDue(5)) {
        queue.holdBack(each)
        if (given.push(each.createdAt) > 2) break
      }
      assert.deepEqual(given, [1, 2])
    }
  })

  it('looks at what is due and no further', () => {
    const queue = new AgeQueue<{ createdAt: number; isPinned: boolean }>()
    let looks = 0
    for (let i = 0; i < 10_000; i++) {
      queue.add({
        isPinned: false,
        get createdAt() {
          looks++
          return i
        },
      })
    }
    assert.equal([...queue.takeDue(9)].length, 10)
    assert.equal(looks, 11)
  })
})
