import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import fc from 'fast-check'
import { Events } from '../../lib/events.ts'
import { Sessions } from '../../lib/sessions/sessions.ts'
import { fakeClock } from '../../lib/testing/index.ts'
import { detachString } from '../../lib/util/detach-string.ts'

test('a detached string is the same string, whatever it contains', () => {
  const texts = fc.array(fc.nat(0xffff)).map(units => String.fromCharCode(...units))
  fc.assert(fc.property(texts, text => detachString(text) === text))
  assert.equal(detachString('Zoë, 日本, \ud800'), 'Zoë, 日本, \ud800')
})

test('a detached string does not keep the string that it was cut out of', () => {
  const kept: string[] = []
  const each = heldByEach(index => kept.push(detachString(cutOut('text', index))))
  assert.ok(each < MOST, `got ${each} bytes`)
})

for (const kind of ['page', 'request'] as const) {
  test(`a session keeps neither the header that contained its token, nor the URL of its ${kind}`, async () => {
    const clock = fakeClock()
    const cache = { pathOf: (id: string) => id }
    const mountPaths = { routesOf: () => '/gradio_api' }
    const times = { gracePeriod: 1_000, unloadDelay: 1_000, hookTimeout: 1_000 }
    const config = { clock, events: new Events(), ...times, maxSessions: 1_000, maxScopes: 1 }
    const sessions = new Sessions({ ...config, cache, mountPaths, agreedOptions: {} })
    const each = heldByEach(index => {
      const page = { page: cutOut('page', index) }
      const visiting = kind === 'page' ? { kind, ...page } : { kind }
      void sessions.enter(cutOut('token', index), visiting, { info: undefined })
    })
    assert.equal(sessions.registry.stats().open, 201)
    assert.ok(each < MOST, `got ${each} bytes`)
    await sessions.close(1_000)
  })
}

const LONG = 100_000
const MOST = LONG / 10

/** A part of a long string, as V8 slices it. */
function cutOut(name: string, index: number): string {
  return `${name} ${index} `.padEnd(LONG, 'x').slice(0, 64)
}

/** How many bytes each call of `make` retains, without those that the first call creates for all. */
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
