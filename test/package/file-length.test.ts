import assert from 'node:assert/strict'
import { test } from 'node:test'
import { filesBelow, read } from '../support/package/files.ts'

const LIMIT = 300

test(`no file of lib has more than ${LIMIT} lines, unless it is generated`, () => {
  const long = filesBelow('lib', '.ts').filter(file => {
    const text = read(`lib/${file}`)
    return text.trimEnd().split('\n').length > LIMIT && !text.startsWith('// Generated')
  })
  assert.deepEqual(long, [])
})
