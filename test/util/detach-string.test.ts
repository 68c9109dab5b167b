import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import fc from 'fast-check'
import { Sessions } from '../../lib/sessions/sessions.ts'
import { fakeClock } from '../../lib/testing/index.ts'
import { detachString } from '../../lib/util/detach-string.ts'

test('a detachString text is the same text, whatever is in it', () => {
  const texts = fc.array(fc.nat(0xffff)).map(units => String.fromCharCode(...units))
  fc.assert(fc.property(texts, text => detachString(text) === text))
  assert.equal(detachString('Zoë, 日本, \ud800'), 'Zoë, 日本, \ud800')
})

test('a detachString text does not hold the one that it was cut out of', () => {
  const kept: string[] = []
  const each = heldByEach(index => kept.push(detachString(cutOut('text', index))))
  assert.ok(each < MOST, `got ${each} bytes`)
})

for (const kind of ['page', 'request'] as const) {
  test(`a session holds neither the header that its token came in, nor the URL of its ${kind}`, async () => {
    const clock = fakeClock()
    const directoryOf = (id: string) => id
    const times = { gracePeriod: 1_000, unloadDelay: 1_000, hookTimeout: 1_000 }
    const sessions = new Sessions({ clock, ...times, maxSessions: 1_000, directoryOf, agreedOptions: {} })
    const each = heldByEach(index => {
      const page = { page: cutOut('page', index) }
      const visiting = kind === 'page' ? { kind, ...page } : { kind }
      void sessions.enter(cutOut('token', index), visiting, { info: undefined })
    })
    assert.equal(sessions.stats().open, 201)
    assert.ok(each < MOST, `got ${each} bytes`)
    await sessions.close(1_000)
  })
}

const LONG = 100_000
const MOST = LONG / 10

/** A part of a long text, as V8 cuts it out. */
function cutOut(name: string, index: number): string {
  return `${name} ${index} `.padEnd(LONG, 'x').slice(0, 64)
}

/** How many bytes stay with each call of `make`; what the first makes for all is not counted. */
function heldByEach(make: (index: number) => void): number {
  setFlagsFromString('--expose-gc')
  const gc = runInNewContext('gc') as () => void
  make(0)
  gc()
  const before = process.memoryUsage().heapUsed
  for (let index = 1; index <= 200; index++) make(index)
  gc()
  return (process.memoryUsage().heapUsed - before) / 200
}
