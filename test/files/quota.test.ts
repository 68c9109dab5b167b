import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Quota, Reservation } from '../../lib/files/quota.ts'
import { isAbout } from '../support/is-about.ts'

describe('a quota', () => {
  it('lets in what fits to the last byte, and nothing of what does not', () => {
    const quota = new Quota(10, 'SESSION_FULL', 'maxSessionBytes')
    quota.reserve(4)
    quota.reserve(6)
    assert.throws(() => quota.reserve(1), isAbout('maxSessionBytes', '10 bytes', '', 'SESSION_FULL'))
    assert.equal(quota.used, 10)
    quota.reserve(0)
    quota.release(6)
    quota.reserve(5)
    assert.equal(quota.used, 9)
  })

  it('counts what is there already over the limit too', () => {
    const quota = new Quota(10, 'CACHE_FULL', 'maxCacheBytes')
    quota.add(50)
    assert.throws(() => quota.reserve(1), isAbout('maxCacheBytes', '', '', 'CACHE_FULL'))
    quota.add(-45)
    quota.reserve(5)
    assert.equal(quota.used, 10)
  })

  it('has no limit at Infinity', () => {
    const quota = new Quota(Number.POSITIVE_INFINITY, 'CACHE_FULL', 'maxCacheBytes')
    quota.reserve(2 ** 52)
    assert.equal(quota.used, 2 ** 52)
  })
})

describe('a reservation', () => {
  it('is in all of its quotas or in none', () => {
    const quotas = [5, 3, 9].map(limit => new Quota(limit, 'CACHE_FULL', 'maxCacheBytes'))
    const reservation = new Reservation(...quotas)
    reservation.add(2)
    assert.throws(() => reservation.add(2))
    assert.deepEqual([...quotas.map(quota => quota.used), reservation.bytes], [2, 2, 2, 2])
    reservation.add(1)
    assert.deepEqual([...quotas.map(quota => quota.used), reservation.bytes], [3, 3, 3, 3])
  })

  it('is given back once, however often it is released', () => {
    const quota = new Quota(9, 'CACHE_FULL', 'maxCacheBytes')
    quota.add(1)
    const reservation = new Reservation(quota)
    reservation.add(4)
    reservation.release()
    reservation.release()
    assert.equal(quota.used, 1)
  })
})
