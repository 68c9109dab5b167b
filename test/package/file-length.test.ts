import assert from 'node:assert/strict'
import { test } from 'node:test'
import { filesBelow, read } from '../support/package/files.ts'

const LIMIT = 300

test(`no file of lib has more than ${LIMIT} lines`, () => {
  const long = filesBelow('lib', '.ts').filter(
    file => read(`lib/${file}`).trimEnd().split('\n').length > LIMIT,
  )
  assert.deepEqual(long, [])
})
