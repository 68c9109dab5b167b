import assert from 'node:assert/strict'
import { test } from 'node:test'
import { follow } from '../support/recipes/folder.ts'

test('testing an app: all four tests pass', async () => {
  const folder = await follow('testing')
  assert.match(await folder.run('node --test'), /^. pass 4\n. fail 0$/m)
})
