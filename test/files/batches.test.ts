import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { batchesOf } from '../../lib/files/batches.ts'

describe('batches of files', () => {
  it('have each file once, those of one session in as few batches as can be', () => {
    const files = Array.from({ length: 300 }, (_, id) => ({ owner: `session ${id % 3}`, id }))
    const batches = [...batchesOf(files)]
    assert.deepEqual(
      batches.map(batch => [...batch.values()].flat().length),
      [64, 64, 64, 64, 44],
    )
    const parts = batches.flatMap(batch => [...batch.entries()])
    for (const [owner, part] of parts) for (const file of part) assert.equal(file.owner, owner)
    const ids = parts.flatMap(([, part]) => part.map(file => file.id))
    assert.deepEqual(
      ids.toSorted((a, b) => a - b),
      files.map(file => file.id),
    )
    assert.equal(parts.length, 7)
  })

  it('are none of no files', () => {
    assert.deepEqual([...batchesOf([])], [])
  })
})
