import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import type {
  SharedValue,
  SharedValueStore,
  ValueClaim,
  WriteOptions,
} from '../../lib/sessions/shared-value-store.ts'
import type { FakeClock } from '../../lib/testing/index.ts'

// The behaviour of every store of shared values: that of a single process, and those of clusters.

/** A store, and sessions that have values in it. Created for each test. */
export interface SharedValuesPlace {
  readonly clock: FakeClock
  readonly values: SharedValueStore
  /** Starts the session of a token, with an entry that keeps it open. */
  begin(token: string): Promise<{ readonly id: string; readonly createdAt: number }>
  /** Ends it; resolves with the shared values that end with it. */
  end(token: string): Promise<readonly SharedValue[]>
  /** The values that have expired since the last call, as they were passed to their callbacks. */
  expired(): Promise<ValueClaim[]>
  /** Whether the claim still belongs to the node that received it. */
  extend(claim: ValueClaim): Promise<boolean>
  complete(claim: ValueClaim): Promise<boolean>
}

const NEVER = Number.POSITIVE_INFINITY

/** Declares the tests of the contract for one store. */
export function describeSharedValues(
  name: string,
  open: (t: TestContext) => Promise<SharedValuesPlace> | SharedValuesPlace,
): void {
  function test(behaviour: string, run: (site: Site) => Promise<void>): void {
    it(behaviour, async t => run(new Site(await open(t))))
  }

  describe(`${name}: shared values`, () => {
    test('are read as they were written, each under its name and in its session', async site => {
      const [a, b] = [await site.session('a'), await site.session('b')]
      assert.equal(await a.read('x'), undefined)
      assert.deepEqual(await a.write('x', 'one'), { written: true, replaced: undefined })
      await a.write('y', '')
      await b.write('x', 'ä\0\u{1f600}\n"\'')
      assert.deepEqual([await a.data('x'), await a.data('y')], ['one', ''])
      assert.deepEqual([await b.data('x'), await b.data('y')], ['ä\0\u{1f600}\n"\'', undefined])
      assert.equal((await a.read('x'))?.name, 'x')
    })

    test('have names of all kinds', async site => {
      const a = await site.session('a')
      const names = ['__proto__', 'constructor', 'ä', 'a:b', 'a b', '{a}', '*', '0', 'x'.repeat(500)]
      for (const name of names) await a.write(name, `of ${name}`)
      for (const name of names) assert.equal(await a.data(name), `of ${name}`)
    })

    test('may be large', async site => {
      const a = await site.session('a')
      const data = 'x'.repeat(1_000_000)
      await a.write('x', data)
      assert.equal(await a.data('x'), data)
    })

    test('have versions that grow with each write and never repeat in a session', async site => {
      const a = await site.session('a')
      const versions: number[] = []
      const note = async (name: string) => versions.push((await a.read(name))?.version as number)
      await a.write('x', '1')
      await note('x')
      await a.write('y', '1')
      await note('y')
      await a.write('x', '2')
      await note('x')
      for (const name of ['x', 'y']) await site.complete(await a.delete(name))
      await a.write('x', '1')
      await note('x')
      assert.ok(versions.every((version, index) => version > (versions[index - 1] ?? 0)))
    })
  })

  describe(`${name}: a write with ifVersion`, () => {
    test('0 writes only if there is no value', async site => {
      const a = await site.session('a')
      assert.equal((await a.write('x', '1', { ifVersion: 0 })).written, true)
      assert.deepEqual(await a.write('x', '2', { ifVersion: 0 }), { written: false, replaced: undefined })
      assert.equal(await a.data('x'), '1')
      await site.complete(await a.delete('x'))
      assert.equal((await a.write('x', '3', { ifVersion: 0 })).written, true)
    })

    test('writes only over that version', async site => {
      const a = await site.session('a')
      await a.write('x', '1')
      const first = (await a.read('x'))?.version as number
      assert.equal((await a.write('x', '2', { ifVersion: first })).written, true)
      assert.equal((await a.write('x', '3', { ifVersion: first, claimReplaced: true })).written, false)
      assert.equal((await a.write('x', '2', { ifVersion: first })).written, false, 'even with the same data')
      assert.equal((await a.write('none', '1', { ifVersion: first })).written, false)
      assert.deepEqual([await a.data('x'), await a.data('none')], ['2', undefined])
    })

    test('does not change the time to live if it is rejected', async site => {
      const a = await site.session('a')
      await a.write('x', '1', { timeToLive: 3 })
      await a.write('x', '2', { timeToLive: 50, ifVersion: 0 })
      assert.deepEqual(await site.expiredAfter(4), ['x 1 timeToLive'])
    })

    test('loses no concurrent write', async site => {
      const a = await site.session('a')
      await a.write('x', '0')
      const add = async () => {
        for (;;) {
          const present = (await a.read('x')) as SharedValue
          const { written } = await a.write('x', String(Number(present.data) + 1), {
            ifVersion: present.version,
          })
          if (written) return
        }
      }
      await Promise.all(Array.from({ length: 20 }, add))
      assert.equal(await a.data('x'), '20')
    })
  })

  describe(`${name}: a value that is replaced`, () => {
    test('is returned if requested', async site => {
      const a = await site.session('a')
      await a.write('x', '1')
      const { version } = (await a.read('x')) as SharedValue
      assert.equal((await a.write('x', '2')).replaced, undefined)
      const { replaced } = await a.write('x', '3', { claimReplaced: true })
      assert.deepEqual(summary(replaced), 'x 2 replaced')
      assert.ok((replaced?.version as number) > version)
      assert.equal(await site.complete(replaced), true)
      assert.equal((await a.write('new', '1', { claimReplaced: true })).replaced, undefined)
    })

    test('is not replaced by identical data: its version stays, its time to live restarts', async site => {
      const a = await site.session('a')
      await a.write('x', '1', { timeToLive: 4 })
      const present = await a.read('x')
      await site.clock.advance(3)
      assert.deepEqual(await a.write('x', '1', { timeToLive: 4, claimReplaced: true }), {
        written: true,
        replaced: undefined,
      })
      assert.deepEqual(await a.read('x'), present)
      assert.deepEqual(await site.expiredAfter(2), [])
      assert.deepEqual(await site.expiredAfter(3), ['x 1 timeToLive'])
    })
  })

  describe(`${name}: delete()`, () => {
    test('returns the value, once', async site => {
      const a = await site.session('a')
      await a.write('x', '1', { timeToLive: 3 })
      const { version } = (await a.read('x')) as SharedValue
      const claim = (await a.delete('x')) as ValueClaim
      assert.equal(await a.read('x'), undefined)
      assert.deepEqual(
        [claim.phase, claim.token, claim.sessionId, claim.name, claim.data, claim.version, claim.reason],
        ['value', 'a', a.id, 'x', '1', version, 'deleted'],
      )
      assert.equal(claim.createdAt, a.createdAt)
      assert.equal(await site.extend(claim), true)
      assert.equal(await site.complete(claim), true)
      assert.equal(await a.delete('x'), undefined)
      assert.equal(await a.delete('never written'), undefined)
      assert.deepEqual(await site.expiredAfter(5), [])
    })

    test('called concurrently returns it to one of the callers', async site => {
      const a = await site.session('a')
      await a.write('x', '1')
      const claims = await Promise.all(Array.from({ length: 10 }, () => a.delete('x')))
      assert.deepEqual(claims.map(summary).filter(Boolean), ['x 1 deleted'])
      await site.complete(claims.find(claim => claim !== undefined))
    })
  })

  describe(`${name}: the time to live of a shared value`, () => {
    test('counts from the write, and the value expires once', async site => {
      const a = await site.session('a')
      await a.write('x', '1', { timeToLive: 3 })
      const { version } = (await a.read('x')) as SharedValue
      assert.deepEqual(await site.expiredAfter(2), [])
      await site.clock.advance(1.5)
      const [claim, ...more] = (await site.expired()) as [ValueClaim]
      assert.deepEqual(more, [])
      assert.deepEqual([summary(claim), claim.version, claim.sessionId], ['x 1 timeToLive', version, a.id])
      assert.equal(await a.read('x'), undefined)
      assert.equal(await site.complete(claim), true)
      assert.deepEqual(await site.expiredAfter(10), [])
      assert.deepEqual(await a.write('x', '1', { ifVersion: 0 }), { written: true, replaced: undefined })
    })

    test('never ends if it is infinite, even if it was not before', async site => {
      const a = await site.session('a')
      await a.write('x', '1', { timeToLive: 2 })
      await a.write('x', '2')
      await a.write('y', '1', { timeToLive: 2 })
      await a.touch('y', NEVER)
      assert.deepEqual(await site.expiredAfter(20), [])
      assert.deepEqual([await a.data('x'), await a.data('y')], ['2', '1'])
    })

    test('restarts with each write and each touch', async site => {
      const a = await site.session('a')
      await a.write('x', '1', { timeToLive: 4 })
      await site.clock.advance(2)
      await a.write('x', '2', { timeToLive: 4 })
      assert.deepEqual(await site.expiredAfter(3), [])
      assert.equal(await a.touch('x', 4), true)
      assert.deepEqual(await site.expiredAfter(3), [])
      assert.deepEqual(await site.expiredAfter(2), ['x 2 timeToLive'])
      assert.equal(await a.touch('x', 4), false)
      assert.equal(await a.touch('never written', 4), false)
    })

    test('of many values ends for each of them', async site => {
      const names = Array.from({ length: 60 }, (_, index) => `v${index}`)
      const sessions = await Promise.all(['a', 'b', 'c'].map(site.session))
      for (const [index, name] of names.entries()) {
        await sessions[index % 3]?.write(name, name, { timeToLive: 1 })
      }
      assert.deepEqual(
        (await site.expiredAfter(2)).sort(),
        names.map(name => `${name} ${name} timeToLive`).sort(),
      )
    })
  })

  describe(`${name}: the end of a session`, () => {
    test('ends its shared values, and returns them', async site => {
      const [a, b] = [await site.session('a'), await site.session('b')]
      await a.write('x', '1', { timeToLive: 3 })
      await a.write('y', '2')
      await b.write('x', 'of another')
      const values = [await a.read('x'), await a.read('y')]
      assert.deepEqual(byName(await site.end('a')), values)
      assert.deepEqual(await site.expiredAfter(5), [])
      assert.equal(await b.data('x'), 'of another')
      const next = await site.session('a')
      assert.equal(await next.read('x'), undefined)
    })

    test('without values returns none', async site => {
      const a = await site.session('a')
      await a.write('x', '1')
      await site.complete(await a.delete('x'))
      assert.deepEqual(await site.end('a'), [])
    })

    test('leaves a deleted value to its claim', async site => {
      const a = await site.session('a')
      await a.write('x', '1')
      const deleted = (await a.delete('x')) as ValueClaim
      await a.write('x', '2')
      assert.deepEqual(
        (await site.end('a')).map(({ data }) => data),
        ['2'],
      )
      assert.equal(await site.extend(deleted), true)
      assert.equal(await site.complete(deleted), true)
    })

    test('makes all methods reject with SESSION_ENDED, as for a session that never existed', async site => {
      const a = await site.session('a')
      await a.write('x', '1')
      await site.end('a')
      const next = await site.session('a')
      await next.write('x', 'of the next')
      const { values } = site
      const never = { timeToLive: NEVER }
      for (const [token, id] of [
        ['a', a.id],
        ['never seen', a.id],
        ['never seen', next.id],
      ] as const) {
        const calls: Record<string, () => Promise<unknown>> = {
          read: () => values.read(token, id, 'x'),
          write: () => values.write(token, id, 'x', '2', never),
          'write ifVersion': () => values.write(token, id, 'x', '2', { ...never, ifVersion: 0 }),
          touch: () => values.touch(token, id, 'x', NEVER),
          delete: () => values.delete(token, id, 'x'),
        }
        for (const [name, call] of Object.entries(calls)) {
          await assert.rejects(call(), { code: 'SESSION_ENDED' }, name)
        }
      }
      assert.equal(await next.data('x'), 'of the next')
    })
  })
}

/** A store, and the operations of the tests on it; times in seconds. */
class Site {
  readonly clock: FakeClock
  readonly values: SharedValueStore
  readonly end: SharedValuesPlace['end']
  readonly expired: SharedValuesPlace['expired']
  readonly #place: SharedValuesPlace

  constructor(place: SharedValuesPlace) {
    this.clock = place.clock
    this.values = place.values
    this.end = token => place.end(token)
    this.expired = () => place.expired()
    this.#place = place
  }

  extend(claim: ValueClaim): Promise<boolean> {
    return this.#place.extend(claim)
  }

  complete(claim: ValueClaim | undefined): Promise<boolean> {
    assert.ok(claim)
    return this.#place.complete(claim)
  }

  /** A session, and its values. */
  readonly session = async (token: string) => {
    const { id, createdAt } = await this.#place.begin(token)
    const { values } = this
    const read = (name: string) => values.read(token, id, name)
    return {
      id,
      createdAt,
      read,
      data: async (name: string) => (await read(name))?.data,
      write: async (
        name: string,
        data: string,
        { timeToLive = NEVER, ...how }: Partial<WriteOptions> = {},
      ) => {
        const answer = await values.write(token, id, name, data, { timeToLive: timeToLive * 1000, ...how })
        return { written: answer.written, replaced: answer.replaced }
      },
      touch: (name: string, timeToLive: number) => values.touch(token, id, name, timeToLive * 1000),
      delete: (name: string) => values.delete(token, id, name),
    }
  }

  /** Completes the values that expire within this many seconds, and returns them. */
  async expiredAfter(seconds: number): Promise<(string | undefined)[]> {
    await this.clock.advance(seconds)
    const claims = await this.expired()
    for (const claim of claims) assert.equal(await this.complete(claim), true)
    return claims.map(summary)
  }
}

const summary = (claim: ValueClaim | undefined) => claim && `${claim.name} ${claim.data} ${claim.reason}`

const byName = (values: readonly SharedValue[]) =>
  [...values].sort((one, other) => (one.name < other.name ? -1 : 1))
