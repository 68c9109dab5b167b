import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import type { Claim, Holder, MaybePromise } from '../../lib/sessions/engine.ts'
import type { SharedValue, ValueClaim, Writing } from '../../lib/sessions/shared-value-store.ts'
import { EngineSite, type EngineUnderTest, NEVER, UNIT } from './engine-site.ts'

// What every engine has to do for the values that all nodes share. To test one of your own, call `describeEngineValues`
// in a test file; the engines are those of `describeEngine`.

/** Declares the tests of the contract for one engine. */
export function describeEngineValues(
  name: string,
  make: (t: TestContext) => MaybePromise<EngineUnderTest>,
): void {
  function test(behaviour: string, run: (site: ValuesSite) => Promise<void>): void {
    it(behaviour, async t => new ValuesSite(await make(t)).during(run))
  }

  describe(`${name}: shared values`, () => {
    test('are read as they were written, each under its name and in its life', async site => {
      const [a, b] = [await site.life('a'), await site.life('b')]
      assert.equal(await a.read('x'), undefined)
      assert.deepEqual(await a.write('x', 'one'), { written: true, replaced: undefined })
      await a.write('y', '')
      await b.write('x', 'ä\0\u{1f600}\n"\'')
      assert.deepEqual([await a.data('x'), await a.data('y')], ['one', ''])
      assert.deepEqual([await b.data('x'), await b.data('y')], ['ä\0\u{1f600}\n"\'', undefined])
      assert.equal((await a.read('x'))?.name, 'x')
    })

    test('have names of all kinds', async site => {
      const a = await site.life('a')
      const names = ['__proto__', 'constructor', 'ä', 'a:b', 'a b', '{a}', '*', '0', 'x'.repeat(500)]
      for (const name of names) await a.write(name, `of ${name}`)
      for (const name of names) assert.equal(await a.data(name), `of ${name}`)
    })

    test('may be large', async site => {
      const a = await site.life('a')
      const data = 'x'.repeat(1_000_000)
      await a.write('x', data)
      assert.equal(await a.data('x'), data)
    })

    test('have versions that grow with each write and never repeat in a life', async site => {
      const a = await site.life('a')
      const versions: number[] = []
      const note = async (name: string) => versions.push((await a.read(name))?.version as number)
      await a.write('x', '1')
      await note('x')
      await a.write('y', '1')
      await note('y')
      await a.write('x', '2')
      await note('x')
      for (const name of ['x', 'y']) await site.settle(await a.delete(name))
      await a.write('x', '1')
      await note('x')
      assert.ok(versions.every((version, index) => version > (versions[index - 1] ?? 0)))
    })
  })

  describe(`${name}: a write over a version`, () => {
    test('over 0 writes only where there is no value', async site => {
      const a = await site.life('a')
      assert.equal((await a.write('x', '1', { over: 0 })).written, true)
      assert.deepEqual(await a.write('x', '2', { over: 0 }), { written: false, replaced: undefined })
      assert.equal(await a.data('x'), '1')
      await site.settle(await a.delete('x'))
      assert.equal((await a.write('x', '3', { over: 0 })).written, true)
    })

    test('writes only over that one', async site => {
      const a = await site.life('a')
      await a.write('x', '1')
      const first = (await a.read('x'))?.version as number
      assert.equal((await a.write('x', '2', { over: first })).written, true)
      assert.equal((await a.write('x', '3', { over: first, claimReplaced: true })).written, false)
      assert.equal((await a.write('x', '2', { over: first })).written, false, 'also with the same data')
      assert.equal((await a.write('none', '1', { over: first })).written, false)
      assert.deepEqual([await a.data('x'), await a.data('none')], ['2', undefined])
    })

    test('does nothing to the time to live when it is refused', async site => {
      const a = await site.life('a')
      await a.write('x', '1', { timeToLive: 3 })
      await a.write('x', '2', { timeToLive: 50, over: 0 })
      assert.deepEqual(await site.due(4), ['x 1 timeToLive'])
    })

    test('loses nothing of what many write at once', async site => {
      const a = await site.life('a')
      await a.write('x', '0')
      const add = async () => {
        for (;;) {
          const present = (await a.read('x')) as SharedValue
          const { written } = await a.write('x', String(Number(present.data) + 1), { over: present.version })
          if (written) return
        }
      }
      await Promise.all(Array.from({ length: 20 }, add))
      assert.equal(await a.data('x'), '20')
    })
  })

  describe(`${name}: a value that is replaced`, () => {
    test('is handed out where that is asked for', async site => {
      const a = await site.life('a')
      await a.write('x', '1')
      const { version } = (await a.read('x')) as SharedValue
      assert.equal((await a.write('x', '2')).replaced, undefined)
      const { replaced } = await a.write('x', '3', { claimReplaced: true })
      assert.deepEqual(told(replaced), 'x 2 replaced')
      assert.ok((replaced?.version as number) > version)
      assert.equal(await site.settle(replaced), true)
      assert.equal((await a.write('new', '1', { claimReplaced: true })).replaced, undefined)
    })

    test('is not, by identical data: its version stays, its time to live starts anew', async site => {
      const a = await site.life('a')
      await a.write('x', '1', { timeToLive: 4 })
      const present = await a.read('x')
      await site.pass(3)
      assert.deepEqual(await a.write('x', '1', { timeToLive: 4, claimReplaced: true }), {
        written: true,
        replaced: undefined,
      })
      assert.deepEqual(await a.read('x'), present)
      assert.deepEqual(await site.due(2), [])
      assert.deepEqual(await site.due(3), ['x 1 timeToLive'])
    })
  })

  describe(`${name}: delete()`, () => {
    test('hands the value out, once', async site => {
      const a = await site.life('a')
      await a.write('x', '1', { timeToLive: 3 })
      const { version } = (await a.read('x')) as SharedValue
      const claim = (await a.delete('x')) as ValueClaim
      assert.equal(await a.read('x'), undefined)
      assert.deepEqual(
        [claim.phase, claim.token, claim.life, claim.name, claim.data, claim.version, claim.reason],
        ['value', 'a', a.id, 'x', '1', version, 'deleted'],
      )
      assert.equal(claim.createdAt, a.createdAt)
      assert.equal(await site.engine.renew(claim), true)
      assert.equal(await site.settle(claim), true)
      assert.equal(await a.delete('x'), undefined)
      assert.equal(await a.delete('never written'), undefined)
      assert.deepEqual(await site.due(5), [])
    })

    test('of many at once gives it to one of them', async site => {
      const a = await site.life('a')
      await a.write('x', '1')
      const claims = await Promise.all(Array.from({ length: 10 }, () => a.delete('x')))
      assert.deepEqual(claims.map(told).filter(Boolean), ['x 1 deleted'])
      await site.settle(claims.find(claim => claim !== undefined))
    })
  })

  describe(`${name}: the time to live of a shared value`, () => {
    test('counts from the write, and hands the value out once', async site => {
      const a = await site.life('a')
      await a.write('x', '1', { timeToLive: 3 })
      const { version } = (await a.read('x')) as SharedValue
      assert.ok((site.engine.nextDue() ?? NEVER) <= site.now() + 3 * UNIT)
      assert.deepEqual(await site.due(2), [])
      const [claim, ...more] = (await site.claims(2)) as [ValueClaim]
      assert.deepEqual(more, [])
      assert.deepEqual([told(claim), claim.version, claim.life], ['x 1 timeToLive', version, a.id])
      assert.equal(await a.read('x'), undefined)
      assert.equal(await site.settle(claim), true)
      assert.deepEqual(await site.due(10), [])
      assert.deepEqual(await a.write('x', '1', { over: 0 }), { written: true, replaced: undefined })
    })

    test('never ends when it is infinite, also when it was not before', async site => {
      const a = await site.life('a')
      await a.write('x', '1', { timeToLive: 2 })
      await a.write('x', '2')
      await a.write('y', '1', { timeToLive: 2 })
      await a.touch('y', NEVER)
      assert.deepEqual(await site.due(20), [])
      assert.deepEqual([await a.data('x'), await a.data('y')], ['2', '1'])
    })

    test('starts anew with each write and each touch', async site => {
      const a = await site.life('a')
      await a.write('x', '1', { timeToLive: 4 })
      await site.pass(2)
      await a.write('x', '2', { timeToLive: 4 })
      assert.deepEqual(await site.due(3), [])
      assert.equal(await a.touch('x', 4), true)
      assert.deepEqual(await site.due(3), [])
      assert.deepEqual(await site.due(2), ['x 2 timeToLive'])
      assert.equal(await a.touch('x', 4), false)
      assert.equal(await a.touch('never written', 4), false)
    })

    test('wakes the manager', async site => {
      const a = await site.life('a')
      const before = site.woken()
      await a.write('x', '1', { timeToLive: 3 })
      assert.ok(site.woken() > before)
    })

    test('of many is over for each of them, in portions', async site => {
      const names = Array.from({ length: 60 }, (_, index) => `v${index}`)
      const lives = await Promise.all(['a', 'b', 'c'].map(site.life))
      for (const [index, name] of names.entries()) {
        await lives[index % 3]?.write(name, name, { timeToLive: 1 })
      }
      await site.pass(2)
      const portions = await site.claimAll(7)
      assert.ok(portions.every(portion => portion.length <= 7))
      assert.deepEqual(
        portions
          .flat()
          .map(claim => (claim as ValueClaim).name)
          .sort(),
        names.sort(),
      )
    })
  })

  describe(`${name}: values and sessions that are due together`, () => {
    test('are handed out in portions of both', async site => {
      const lives = await Promise.all(Array.from({ length: 60 }, (_, index) => site.life(`s${index}`)))
      for (const [index, life] of lives.entries()) {
        if (index < 20) await life.write('x', '1', { timeToLive: 1 })
        await life.leave(50)
      }
      await site.pass(2)
      const portions = await site.claimAll(7)
      assert.ok(portions.every(portion => portion.length <= 7))
      const phases = portions.flat().map(({ phase }) => phase)
      assert.deepEqual(phases.sort(), [...Array(60).fill('unload'), ...Array(20).fill('value')])
    })
  })

  describe(`${name}: the end of a session`, () => {
    test('takes its shared values along, and hands them out with it', async site => {
      const [a, b] = [await site.life('a'), await site.life('b')]
      await a.write('x', '1', { timeToLive: 3 })
      await a.write('y', '2')
      await b.write('x', 'of another')
      const values = [await a.read('x'), await a.read('y')]
      const claim = (await site.engine.end('a', a.id, 'destroyed')) as Claim
      assert.deepEqual(byName(claim.values), values)
      await site.engine.settle(claim)
      assert.deepEqual(await site.due(5), [])
      assert.equal(await b.data('x'), 'of another')
      const next = await site.life('a')
      assert.equal(await next.read('x'), undefined)
    })

    test('that is due does so too', async site => {
      const a = await site.life('a')
      await a.write('x', '1')
      await site.pass(1)
      await a.leave(2)
      const claims = (await site.claims(3)) as Claim[]
      const end = claims.find(({ phase }) => phase === 'end')
      assert.deepEqual(
        end?.values.map(({ name, data }) => [name, data]),
        [['x', '1']],
      )
    })

    test('without any gives none', async site => {
      const a = await site.life('a')
      await a.write('x', '1')
      await site.settle(await a.delete('x'))
      const claim = (await site.engine.end('a', a.id, 'ended')) as Claim
      assert.deepEqual(claim.values, [])
    })

    test('leaves a deleted value with whom it was handed to', async site => {
      const a = await site.life('a')
      await a.write('x', '1')
      const deleted = await a.delete('x')
      await a.write('x', '2')
      const end = (await site.engine.end('a', a.id, 'ended')) as Claim
      assert.deepEqual(
        end.values.map(({ data }) => data),
        ['2'],
      )
      assert.equal(await site.engine.renew(deleted as ValueClaim), true)
      assert.equal(await site.settle(deleted), true)
    })

    test('makes all methods throw SESSION_ENDED, as those of a life that never was', async site => {
      const a = await site.life('a')
      await a.write('x', '1')
      await site.engine.end('a', a.id, 'ended')
      const next = await site.life('a')
      await next.write('x', 'of the next')
      const { values } = site.engine
      const never = { timeToLive: NEVER }
      for (const [token, life] of [
        ['a', a.id],
        ['never seen', a.id],
        ['never seen', next.id],
      ] as const) {
        const calls: Record<string, () => unknown> = {
          read: () => values.read(token, life, 'x'),
          write: () => values.write(token, life, 'x', '2', never),
          'write over': () => values.write(token, life, 'x', '2', { ...never, over: 0 }),
          touch: () => values.touch(token, life, 'x', NEVER),
          delete: () => values.delete(token, life, 'x'),
        }
        for (const [name, call] of Object.entries(calls)) {
          await assert.rejects(async () => call(), { code: 'SESSION_ENDED' }, name)
        }
      }
      assert.equal(await next.data('x'), 'of the next')
    })

    test('and the unload go on beside values that are due', async site => {
      const a = await site.life('a')
      await a.write('x', '1', { timeToLive: 3 })
      await a.leave(50)
      const [unload] = (await site.claims(0)) as [Claim]
      assert.equal(unload.phase, 'unload')
      assert.deepEqual(await site.due(4), ['x 1 timeToLive'])
      assert.equal(await site.engine.renew(unload), true)
      assert.equal(await site.engine.settle(unload), true)
    })
  })
}

/** An engine, and what the tests of shared values do with it; time in units. */
class ValuesSite extends EngineSite {
  readonly settle = (claim: ValueClaim | undefined) => this.engine.settle(claim as ValueClaim)

  /** A life that somebody holds, and its values. */
  readonly life = async (token: string) => {
    const holder: Holder = { id: `holder of ${token}`, kind: 'page' }
    const life = await this.engine.open(token, holder, { create: true, unloadIn: 0 })
    assert.ok(life)
    const { id, createdAt } = life
    const { values } = this.engine
    const read = async (name: string) => values.read(token, id, name)
    return {
      id,
      createdAt,
      read,
      data: async (name: string) => (await read(name))?.data,
      write: async (name: string, data: string, { timeToLive = NEVER, ...how }: Partial<Writing> = {}) => {
        const answer = await values.write(token, id, name, data, { timeToLive: timeToLive * UNIT, ...how })
        return { written: answer.written, replaced: answer.replaced }
      },
      touch: async (name: string, timeToLive: number) => values.touch(token, id, name, timeToLive * UNIT),
      delete: async (name: string) => values.delete(token, id, name),
      leave: async (endIn: number) =>
        this.engine.release(token, holder, { unloadIn: 0, endIn: endIn * UNIT }),
    }
  }

  /** What is handed out when so many units have passed. Unloads are settled as long as they come with others. */
  readonly claims = async (units: number): Promise<(Claim | ValueClaim)[]> => {
    await this.pass(units)
    const claims = (await this.claimAll(100)).flat()
    const unload = claims.find(({ phase }) => phase === 'unload')
    if (unload === undefined || units === 0) return claims
    await this.engine.settle(unload)
    return [...claims, ...(await this.claimAll(100)).flat()]
  }

  /** The values that are handed out when so many units have passed; they are settled. */
  readonly due = async (units: number): Promise<(string | undefined)[]> => {
    const claims = (await this.claims(units)) as ValueClaim[]
    for (const claim of claims) await this.settle(claim)
    return claims.map(told)
  }
}

const told = (claim: ValueClaim | undefined) => claim && `${claim.name} ${claim.data} ${claim.reason}`

const byName = (values: readonly SharedValue[]) =>
  [...values].sort((one, other) => (one.name < other.name ? -1 : 1))
