import assert from 'node:assert/strict'
import { it } from 'node:test'
import { after } from '../../lib/util/thenable.ts'

it('after() goes on at once, unless there is a promise to wait for', async () => {
  assert.equal(
    after(1, value => value + 1),
    2,
  )
  const later = after(Promise.resolve(1), value => value + 1)
  assert.ok(later instanceof Promise)
  assert.equal(await later, 2)
})
