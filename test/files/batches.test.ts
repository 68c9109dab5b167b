import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { batchesOf } from '../../lib/files/batches.ts'

describe('batches of files', () => {
  it('have each file once, those of one session in as few batches as can be', () => {
    const files = Array.from({ length: 300 }, (_, id) => ({ owner: `session ${id % 3}`, id }))
    const batches = [...batchesOf(files)]
    assert.deepEqual(
      batches.map(batch => [...batch.values()].flat().length),
      [32, 32, 32, 32, 32, 32, 32, 32, 32, 12],
    )
    const parts = batches.flatMap(batch => [...batch.entries()])
    for (const [owner, part] of parts) for (const file of part) assert.equal(file.owner, owner)
    const ids = parts.flatMap(([, part]) => part.map(file => file.id))
    assert.deepEqual(
      ids.toSorted((a, b) => a - b),
      files.map(file => file.id),
    )
    assert.equal(parts.length, 12)
  })

  it('are made as they are asked for', () => {
    let looks = 0
    const files = function* () {
      for (; looks < 1_000_000; looks++) yield { owner: looks % 7 }
    }
    for (const batch of batchesOf(files())) {
      assert.ok(batch.size > 0)
      break
    }
    assert.ok(looks < 2_000, `${looks} of them were looked at`)
  })

  it('are none of no files', () => {
    assert.deepEqual([...batchesOf([])], [])
  })
})
