// A process that may write to a session's directory replaces files and directories by links, as fast as it can.
// ATTACK_SECONDS: how long each operation is attacked. `npm run test:attacks` takes a minute for each.

import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { ATTACKED, attack } from '../support/files/link-attacks.ts'

const seconds = Number(process.env.ATTACK_SECONDS ?? 1.5)

describe('while links are swapped', { skip: process.platform !== 'linux' && 'needs /proc/self/fd' }, () => {
  for (const what of Object.keys(ATTACKED)) {
    it(`${what}: nothing outside is read, written or deleted`, async t => {
      const report = await attack(t, what, seconds)
      t.diagnostic(`${what}: ${JSON.stringify(report)}`)
      assert.ok(report.succeeded > 0 && report.swaps > 0, JSON.stringify(report))
    })
  }
})
