import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import type { Arrival, Claim, Departure, Holder, Life, MaybePromise } from '../../lib/sessions/engine.ts'
import { EngineSite, type EngineUnderTest, NEVER, UNIT } from './engine-site.ts'

export type { EngineUnderTest } from './engine-site.ts'

// What every engine has to do. To test one of your own, call `describeEngine` in a test file.

/** Declares the tests of the contract for one engine. */
export function describeEngine(name: string, make: (t: TestContext) => MaybePromise<EngineUnderTest>): void {
  /** Declares a test, which is given an engine that is started. */
  function test(behaviour: string, run: (site: LivesSite) => Promise<void>): void {
    it(behaviour, async t => new LivesSite(await make(t)).during(run))
  }

  describe(`${name}: lives`, () => {
    test('a life begins with the first holder, and has an id of its own', async ({ open }) => {
      const life = await open('a', page())
      assert.equal(life?.phase, 'new')
      assert.match(life?.id ?? '', /^[\da-f]{8}-[\da-f]{4}-4[\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12}$/)
      const other = await open('b', page())
      assert.equal(other?.phase, 'new')
      assert.notEqual(other?.id, life?.id)
    })

    test('further holders share it', async ({ open }) => {
      const first = await open('a', page())
      for (const holder of [page(), request(), navigation()]) {
        assert.deepEqual(about(await open('a', holder)), { id: first?.id, phase: 'loaded' })
      }
    })

    test('without `create` none is begun', async ({ open }) => {
      assert.equal(await open('a', request(), { create: false }), undefined)
      const life = await open('a', request())
      assert.equal(life?.phase, 'new')
      assert.equal((await open('a', request(), { create: false }))?.id, life?.id)
    })

    test('end() ends it at once: the next open begins another', async ({ engine, open, release, due }) => {
      const holder = page()
      const life = await open('a', holder)
      await engine.end('a', life?.id as string, 'destroyed')
      assert.equal(await open('a', request(), { create: false }), undefined)
      const next = await open('a', page())
      assert.equal(next?.phase, 'new')
      assert.notEqual(next?.id, life?.id)
      // The late leave of one who held the old life, and a late end of it, hurt no newer one.
      await release('a', holder, { unloadIn: 0, endIn: 0 })
      await engine.end('a', life?.id as string, 'destroyed')
      assert.deepEqual(await due(5), [])
      assert.equal((await open('a', page()))?.id, next?.id)
    })

    test('what was never opened can be released and ended', async ({ engine, release, due }) => {
      await release('a', page())
      await engine.end('a', 'no life', 'ended')
      assert.deepEqual(await due(5), [])
    })
  })

  describe(`${name}: the unload`, () => {
    test('is due after the last page has left, once', async ({ open, release, due }) => {
      const pages = [page(), page()] as const
      const life = await open('a', pages[0])
      await open('a', pages[1])
      await release('a', pages[0], { unloadIn: 0 })
      assert.deepEqual(await due(5), [])
      await release('a', pages[1], { unloadIn: 2 })
      assert.deepEqual(await due(1), [])
      const [claim, ...more] = await due(2)
      assert.deepEqual(more, [])
      const { token, phase, reason } = claim as Claim
      assert.deepEqual([token, claim?.life, phase, reason], ['a', life?.id, 'unload', 'disconnected'])
      assert.deepEqual(await due(20), [])
    })

    test('waits for a request only while there was no page', async ({ open, release, due, engine }) => {
      const slow = request()
      await open('a', slow)
      assert.deepEqual(await due(5), [])
      const first = page()
      await open('a', first)
      await release('a', first, { unloadIn: 1 })
      const [claim] = await due(2)
      assert.equal(claim?.phase, 'unload')
      await engine.settle(claim as Claim)
      // The same holds of the load that comes after: no page, so the request counts again.
      assert.equal((await open('a', request()))?.phase, 'returned')
      assert.deepEqual(await due(5), [])
    })

    test('comes as long after the last answer as after a page, where there was none', async site => {
      const { open, release, phases } = site
      const holder = request()
      await open('a', holder)
      await release('a', holder, { unloadIn: 3 })
      assert.deepEqual(await phases(2), [])
      assert.deepEqual(await phases(2), ['unload'])
    })

    test('is put off by each arrival', async ({ open, release, phases }) => {
      const holder = page()
      await open('a', holder)
      await release('a', holder, { unloadIn: 3 })
      const late = request()
      await open('a', late, { unloadIn: 6 })
      await release('a', late, { unloadIn: 0 })
      assert.deepEqual(await phases(5), [])
      assert.deepEqual(await phases(2), ['unload'])
    })

    test('is put off by a navigation, and by the page that it is to bring', async ({
      open,
      release,
      phases,
    }) => {
      const [old, coming] = [page(), navigation()]
      await open('a', old)
      await open('a', coming)
      await release('a', old, { unloadIn: 1 })
      assert.deepEqual(await phases(5), [])
      await release('a', coming, { unloadIn: 1, awaitPage: 9 * UNIT })
      assert.deepEqual(await phases(4), [])
      const next = page()
      await open('a', next)
      assert.deepEqual(await phases(1), [])
      await release('a', next, { unloadIn: 1 })
      assert.deepEqual(await phases(2), ['unload'])
    })

    test('comes when the awaited page does not', async ({ open, release, phases }) => {
      const coming = navigation()
      await open('a', coming)
      await release('a', coming, { unloadIn: 1, awaitPage: 4 * UNIT })
      assert.deepEqual(await phases(3), [])
      assert.deepEqual(await phases(2), ['unload'])
    })

    test('awaits no page that came before its document was at its end', async ({ open, release, phases }) => {
      const [coming, early] = [navigation(), page()]
      await open('a', coming)
      await open('a', early)
      await release('a', coming, { unloadIn: 0, awaitPage: 9 * UNIT })
      await release('a', early, { unloadIn: 1 })
      assert.deepEqual(await phases(2), ['unload'])
    })

    test('while it is claimed is told to who arrives, and then is a return', async site => {
      const { engine, open, release, due } = site
      const holder = page()
      const life = await open('a', holder)
      await release('a', holder, { unloadIn: 0 })
      const [claim] = (await due(1)) as [Claim]
      const arrived = page()
      assert.deepEqual(about(await open('a', arrived)), { id: life?.id, phase: 'unloading' })
      assert.equal(await engine.renew(claim), true)
      assert.equal(await engine.settle(claim), true)
      assert.deepEqual(about(await open('a', arrived, { create: false })), {
        id: life?.id,
        phase: 'returned',
      })
      assert.deepEqual(about(await open('a', arrived, { create: false })), { id: life?.id, phase: 'loaded' })
      assert.deepEqual(await due(5), [])
      // Registered twice, released once.
      await release('a', arrived, { unloadIn: 0 })
      const [next] = (await due(1)) as [Claim]
      assert.equal(next.phase, 'unload')
      assert.ok(next.fence > claim.fence)
    })

    test('that was claimed is lost with the end of the life', async ({ engine, open, release, due }) => {
      const holder = page()
      const life = await open('a', holder)
      await release('a', holder, { unloadIn: 0 })
      const [claim] = (await due(1)) as [Claim]
      await engine.end('a', life?.id as string, 'ended')
      assert.equal(await engine.renew(claim), false)
      assert.equal(await engine.settle(claim), false)
      assert.equal((await open('a', page()))?.phase, 'new')
      assert.equal(await engine.settle(claim), false)
    })
  })

  describe(`${name}: the end`, () => {
    test('is due that long after the last holder has left', async ({ open, release, due, unload }) => {
      const [first, last] = [page(), request()]
      const life = await open('a', first)
      await open('a', last)
      await release('a', first, { unloadIn: 0, endIn: 1 })
      await unload('a')
      assert.deepEqual(await due(5), [])
      await release('a', last, { endIn: 3 })
      assert.deepEqual(await due(2), [])
      const claims = await due(2)
      assert.deepEqual(
        claims.map(({ token, life, phase, reason }) => ({ token, life, phase, reason })),
        [{ token: 'a', life: life?.id, phase: 'end', reason: 'disconnected' }],
      )
      const next = await open('a', page())
      assert.equal(next?.phase, 'new')
      assert.notEqual(next?.id, life?.id)
    })

    test('is put off by whoever returns', async ({ open, release, phases, unload }) => {
      const holder = page()
      await open('a', holder)
      await release('a', holder, { unloadIn: 0, endIn: 4 })
      await unload('a')
      assert.deepEqual(await phases(2), [])
      const back = request()
      assert.equal((await open('a', back))?.phase, 'returned')
      assert.deepEqual(await phases(9), [])
      await release('a', back, { unloadIn: 0, endIn: 4 })
      assert.deepEqual(await phases(1), ['unload'])
    })

    test('waits until a claimed unload is settled', async ({ engine, open, release, due, phases }) => {
      const holder = page()
      await open('a', holder)
      await release('a', holder, { unloadIn: 0, endIn: 2 })
      const [claim] = (await due(1)) as [Claim]
      assert.deepEqual(await phases(4), [])
      // Nor does it come when somebody was there meanwhile.
      const passing = request()
      await open('a', passing)
      await release('a', passing, { unloadIn: 0, endIn: 1 })
      assert.deepEqual(await phases(4), [])
      assert.equal(await engine.settle(claim), true)
      assert.deepEqual(await phases(0), ['end'])
    })

    test('comes without an unload when it is due before', async ({ open, release, phases }) => {
      const holder = request()
      await open('a', holder)
      await release('a', holder, { unloadIn: 5, endIn: 1 })
      assert.deepEqual(await phases(2), ['end'])
      assert.deepEqual(await phases(9), [])
    })

    test('never comes when it is never due', async ({ open, release, unload, phases }) => {
      const holder = page()
      await open('a', holder)
      await release('a', holder, { unloadIn: 0, endIn: NEVER })
      await unload('a')
      assert.deepEqual(await phases(50), [])
    })
  })

  describe(`${name}: an expiry`, () => {
    test('makes the unload due at once, whoever holds the session', async site => {
      const { open, expire, due } = site
      for (const token of ['a', 'b', 'c']) {
        const life = await open(token, page())
        await open(token, request())
        await open(token, navigation(), { unloadIn: 9 })
        await expire(token, life, 2)
        const claims = await due(0)
        assert.deepEqual(
          claims.map(({ token, life, phase, reason }) => ({ token, life, phase, reason })),
          [{ token, life: life?.id, phase: 'unload', reason: 'expired' }],
        )
      }
    })

    test('is followed by the end, when its unload is settled', async ({
      open,
      release,
      expire,
      due,
      unload,
    }) => {
      const holder = page()
      const life = await open('a', holder)
      await release('a', holder, { unloadIn: 9, endIn: 9 })
      await expire('a', life, 4)
      await unload('a')
      assert.deepEqual(await due(3), [])
      const claims = await due(2)
      assert.deepEqual(
        claims.map(({ token, life, phase, reason }) => ({ token, life, phase, reason })),
        [{ token: 'a', life: life?.id, phase: 'end', reason: 'expired' }],
      )
      assert.equal((await open('a', page()))?.phase, 'new')
    })

    test('puts the end off as well as forward', async ({ open, release, expire, due, unload }) => {
      const holder = page()
      const life = await open('a', holder)
      await release('a', holder, { unloadIn: 0, endIn: 2 })
      await unload('a')
      await expire('a', life, 6)
      assert.deepEqual(await due(5), [])
      assert.deepEqual(await told(due(2)), ['end expired'])
    })

    test('lets the end wait for the last holder', async ({ open, release, expire, due, unload }) => {
      const [first, last] = [page(), request()]
      const life = await open('a', first)
      await open('a', last)
      await expire('a', life, 1)
      await unload('a')
      await release('a', first, { unloadIn: 0, endIn: 1 })
      assert.deepEqual(await due(5), [])
      await release('a', last, { unloadIn: 0, endIn: 1 })
      assert.deepEqual(await told(due(2)), ['end expired'])
    })

    test('makes an unloaded session end without a second unload', async site => {
      const { open, release, expire, due, unload } = site
      const holder = page()
      const life = await open('a', holder)
      await release('a', holder, { unloadIn: 0, endIn: 50 })
      await unload('a')
      await expire('a', life, 2)
      assert.deepEqual(await due(1), [])
      assert.deepEqual(await told(due(2)), ['end expired'])
      assert.deepEqual(await due(50), [])
    })

    test('lets the unload that is claimed go on, and ends the session after it', async site => {
      const { engine, open, release, expire, due } = site
      const holder = page()
      const life = await open('a', holder)
      await release('a', holder, { unloadIn: 0, endIn: 50 })
      const [claim] = (await due(1)) as [Claim]
      await expire('a', life, 1)
      assert.equal(await engine.renew(claim), true)
      assert.deepEqual(await due(4), [])
      assert.equal(await engine.settle(claim), true)
      assert.deepEqual(await told(due(0)), ['end expired'])
    })

    for (const arrived of ['page', 'request', 'navigation'] as const) {
      test(`is taken back by a ${arrived} that arrives`, async ({ open, release, expire, due }) => {
        const first = page()
        const life = await open('a', first)
        await release('a', first, { unloadIn: 9, endIn: 9 })
        await expire('a', life, 1)
        const back = holder(arrived)
        assert.deepEqual(about(await open('a', back)), { id: life?.id, phase: 'loaded' })
        assert.deepEqual(await due(5), [])
        await release('a', back, { unloadIn: 0, endIn: 20 })
        assert.deepEqual(await told(due(10)), ['unload disconnected'])
      })
    }

    test('is taken back by who returns after the unload', async ({ open, release, expire, due, unload }) => {
      const first = page()
      const life = await open('a', first)
      await release('a', first, { unloadIn: 0, endIn: 9 })
      await expire('a', life, 3)
      await unload('a')
      const back = request()
      assert.deepEqual(about(await open('a', back)), { id: life?.id, phase: 'returned' })
      assert.deepEqual(await due(5), [])
      await release('a', back, { unloadIn: 0, endIn: 4 })
      await unload('a')
      assert.deepEqual(await due(3), [])
      assert.deepEqual(await told(due(2)), ['end disconnected'])
    })

    test('does nothing to another life, or to none', async ({ engine, open, expire, due }) => {
      const gone = await open('a', page())
      await engine.end('a', gone?.id as string, 'destroyed')
      await expire('a', gone, 0)
      const next = await open('a', page())
      await expire('a', gone, 0)
      await expire('never seen', gone, 0)
      assert.deepEqual(await due(5), [])
      assert.deepEqual(about(await open('a', request(), { create: false })), {
        id: next?.id,
        phase: 'loaded',
      })
    })

    test('wakes the manager', async ({ open, expire, woken }) => {
      const life = await open('a', page())
      const before = woken()
      await expire('a', life, 1)
      assert.ok(woken() > before)
    })
  })

  describe(`${name}: what is due`, () => {
    test('is told in time, and handed out once, in portions', async site => {
      const { engine, open, release } = site
      const tokens = Array.from({ length: 100 }, (_, index) => `token ${index}`)
      for (const token of tokens) {
        const holder = page()
        await open(token, holder)
        await release(token, holder, { unloadIn: 1 })
      }
      assert.ok((engine.nextDue() ?? NEVER) <= site.now() + UNIT)
      await site.pass(2)
      const portions = await site.claimAll(7)
      assert.ok(portions.every(portion => portion.length <= 7))
      const claimed = portions.flat()
      assert.deepEqual(claimed.map(({ token }) => token).sort(), tokens.sort())
      assert.ok(claimed.every(({ phase }) => phase === 'unload'))
    })

    test('wakes the manager when it becomes earlier', async ({ open, release, woken }) => {
      const holder = page()
      await open('a', holder)
      const before = woken()
      await release('a', holder, { unloadIn: 1 })
      assert.ok(woken() > before)
    })

    test('is nothing after close()', async site => {
      const holder = page()
      await site.open('a', holder)
      await site.release('a', holder, { unloadIn: 0, endIn: 0 })
      await site.engine.close()
      const before = site.woken()
      assert.deepEqual(await site.due(5), [])
      assert.equal(site.woken(), before)
    })
  })
}

/** An engine, and what the tests of lives do with it; time in units. */
class LivesSite extends EngineSite {
  readonly open = (token: string, holder: Holder, { create = true, unloadIn = 0 }: Partial<Arrival> = {}) =>
    this.engine.open(token, holder, { create, unloadIn: unloadIn * UNIT })

  readonly release = (token: string, holder: Holder, departure: Partial<Departure> = {}) => {
    const { unloadIn = 2, endIn = NEVER, ...rest } = departure
    return this.engine.release(token, holder, { unloadIn: unloadIn * UNIT, endIn: endIn * UNIT, ...rest })
  }

  /** The host session of that life is gone. */
  readonly expire = (token: string, life: Life | undefined, endIn: number) =>
    this.engine.expire(token, life?.id as string, endIn * UNIT)

  /** What is handed out when so many units have passed. */
  readonly due = async (units: number): Promise<Claim[]> => {
    await this.pass(units)
    const claims = (await this.claimAll(100)).flat()
    return claims.filter(claim => claim.phase !== 'value')
  }

  readonly phases = async (units: number) => (await this.due(units)).map(({ phase }) => phase)

  /** Claims and settles the unload that is due. */
  readonly unload = async (token: string): Promise<void> => {
    const [claim] = (await this.due(0)) as [Claim]
    assert.deepEqual([claim.token, claim.phase], [token, 'unload'])
    assert.equal(await this.engine.settle(claim), true)
  }
}

/** Which life it is, and in what phase. */
const about = (life: Life | undefined) => ({ id: life?.id, phase: life?.phase })

const told = async (due: Promise<Claim[]>) => (await due).map(({ phase, reason }) => `${phase} ${reason}`)

let holders = 0
const holder = (kind: Holder['kind']): Holder => ({ id: String(++holders), kind })
const page = () => holder('page')
const request = () => holder('request')
const navigation = () => holder('navigation')
