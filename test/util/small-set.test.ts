import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { all, type Few, includes, including, without } from '../../lib/util/small-set.ts'

test('a few are a set, however few', () => {
  const members = Array.from({ length: 4 }, (_, name) => ({ name }))
  const steps = fc.array(fc.tuple(fc.boolean(), fc.constantFrom(...members)), { maxLength: 30 })
  fc.assert(
    fc.property(steps, steps => {
      const expected = new Set<object>()
      let few: Few<object>
      for (const [isAdded, member] of steps) {
        if (isAdded) expected.add(member)
        else expected.delete(member)
        few = isAdded ? including(few, member) : without(few, member)
        assert.deepEqual(new Set(all(few)), expected)
        assert.equal(few === undefined, expected.size === 0)
        for (const each of members) assert.equal(includes(few, each), expected.has(each))
      }
    }),
  )
})
