import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { crashRounds } from '../support/files/crash-rounds.ts'
import { scratch } from '../support/files/disk.ts'

describe('processes that are killed under load', { timeout: 600_000 }, () => {
  it('leave nothing behind that the next start does not remove, and do not affect a running process', async t => {
    const report = await crashRounds(scratch(t), 20)
    assert.ok(report.withOrphans > 0, 'that there was something to remove')
    assert.ok(report.looks > 0, 'that the other process has looked at its files')
  })
})
