import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Quota, Reservation } from '../../lib/files/quota.ts'
import { isAbout } from '../support/option-error.ts'

/** Like a reservation. */
function reserve(quota: Quota, amount: number): void {
  quota.check(amount)
  quota.add(amount)
}

describe('a quota', () => {
  it('accepts what fits to the last byte, and nothing of what does not', () => {
    const quota = new Quota(10, 'SESSION_FULL', 'maxSessionBytes')
    reserve(quota, 4)
    reserve(quota, 6)
    assert.throws(() => reserve(quota, 1), isAbout('maxSessionBytes', '10 bytes', '', 'SESSION_FULL'))
    assert.equal(quota.used, 10)
    reserve(quota, 0)
    quota.release(6)
    reserve(quota, 5)
    assert.equal(quota.used, 9)
  })

  it('counts existing files even over the limit', () => {
    const quota = new Quota(10, 'CACHE_FULL', 'maxCacheBytes')
    quota.add(50)
    assert.throws(() => reserve(quota, 1), isAbout('maxCacheBytes', '', '', 'CACHE_FULL'))
    quota.add(-45)
    reserve(quota, 5)
    assert.equal(quota.used, 10)
  })

  it('has no limit at Infinity', () => {
    const quota = new Quota(Number.POSITIVE_INFINITY, 'CACHE_FULL', 'maxCacheBytes')
    reserve(quota, 2 ** 52)
    assert.equal(quota.used, 2 ** 52)
  })
})

describe('a reservation', () => {
  const limits = (files: number, bytes: number, total: number) => ({
    files: new Quota(files, 'SESSION_FULL', 'maxSessionFiles', 'files'),
    bytes: new Quota(bytes, 'SESSION_FULL', 'maxSessionBytes'),
    total: new Quota(total, 'CACHE_FULL', 'maxCacheBytes'),
  })
  const used = ({ files, bytes, total }: ReturnType<typeof limits>) => [files.used, bytes.used, total.used]

  it('takes a place and 4 KiB at once, and further bytes only beyond these', () => {
    const all = limits(2, 5000, 10_000)
    const reservation = new Reservation(10_000, all)
    assert.deepEqual(used(all), [1, 4096, 4096])
    reservation.add(4096)
    assert.deepEqual(used(all), [1, 4096, 4096])
    reservation.add(1)
    assert.deepEqual(used(all), [1, 4097, 4097])
  })

  const narrow: [string, ReturnType<typeof limits>, string, string][] = [
    ['files', limits(0, 9000, 9000), '0 files', 'SESSION_FULL'],
    ['bytes of the session', limits(9, 4095, 9000), '4095 bytes', 'SESSION_FULL'],
    ['bytes of all', limits(9, 9000, 4095), '4095 bytes', 'CACHE_FULL'],
  ]
  for (const [what, all, limit, code] of narrow) {
    it(`is rejected if there are too many ${what}, and then takes nothing`, () => {
      assert.throws(() => new Reservation(100, all), isAbout(limit, '', '', code))
      assert.deepEqual(used(all), [0, 0, 0])
    })
  }

  it('is in all of its limits or in none, at each step', () => {
    for (const [maxFileSize, bytes, total] of [
      [5000, 9000, 9000],
      [9000, 5000, 9000],
      [9000, 9000, 5000],
    ] as const) {
      const all = limits(1, bytes, total)
      const reservation = new Reservation(maxFileSize, all)
      reservation.add(4500)
      assert.throws(() => reservation.add(501))
      assert.deepEqual(used(all), [1, 4500, 4500])
      reservation.add(500)
      assert.deepEqual(used(all), [1, 5000, 5000])
    }
  })

  it('is released once, however often release() is called', () => {
    for (const size of [0, 100, 5000]) {
      const all = limits(2, 10_000, 10_000)
      const other = new Reservation(1, all)
      const reservation = new Reservation(10_000, all)
      reservation.add(size)
      reservation.release()
      reservation.release()
      assert.deepEqual(used(all), [1, 4096, 4096])
      other.release()
      assert.deepEqual(used(all), [0, 0, 0])
    }
  })
})
