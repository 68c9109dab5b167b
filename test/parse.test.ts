import assert from 'node:assert/strict'
import { test } from 'node:test'
import { duration, size } from '../lib/parse.ts'

const ANY = { from: 0, to: Number.POSITIVE_INFINITY }

test('a duration is a number of seconds, a string of digits, or a string with a unit', () => {
  for (const value of [90, '90', '90s', '1.5m'])
    assert.equal(duration('it', value, ANY), 90_000, String(value))
  assert.equal(duration('it', '0', ANY), 0)
})

test('a size is a number of bytes, a string of digits, or a string with a unit', () => {
  for (const value of [2048, '2048', '2kb', '2 KB']) assert.equal(size('it', value), 2048, String(value))
  assert.equal(size('it', '0'), 0)
})

test('a number in another notation is rejected', () => {
  for (const value of ['1e3', '-1', ' 1', '1.5', '0x10', '']) {
    assert.throws(() => duration('it', value, ANY), { code: 'OPTION_INVALID' }, value)
    assert.throws(() => size('it', value), { code: 'OPTION_INVALID' }, value)
  }
})
