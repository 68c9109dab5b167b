import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

const lib = fileURLToPath(new URL('../../lib', import.meta.url))
const LIMIT = 300

/** Still to be split. None may be added. */
const EXCEPT: string[] = []

test(`no file of lib has more than ${LIMIT} lines`, () => {
  const long = readdirSync(lib, { recursive: true, encoding: 'utf8' })
    .filter(file => file.endsWith('.ts'))
    .filter(file => readFileSync(join(lib, file), 'utf8').trimEnd().split('\n').length > LIMIT)
  const known = new Set(EXCEPT)
  assert.deepEqual(
    long.filter(file => !known.has(file)),
    [],
  )
})
