// Upgrades of other libraries, and requests that look like upgrades, get byte for byte the same responses as without the library, and the
// library's own work beside them. NODE_BINARIES lists more versions of Node.js: `NODE_BINARIES=/opt/node22/bin/node:/opt/node24/bin/node`.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { delimiter } from 'node:path'
import { it } from 'node:test'
import { promisify } from 'node:util'
import type { Matrix } from '../support/pages/upgrade-matrix.ts'
import { program } from '../support/program.ts'

const others = (process.env.NODE_BINARIES ?? '').split(delimiter).filter(path => path !== '')

for (const binary of [process.execPath, ...others]) {
  it(`upgrades at 16 kinds of servers, by http, https and http2, with ${binary}`, async () => {
    const { stdout } = await promisify(execFile)(binary, program('test/support/pages/upgrade-matrix.ts'), {
      maxBuffer: 2 ** 26,
    })
    const { foreign, ours } = JSON.parse(stdout) as Matrix
    assert.deepEqual(foreign.differing, [])
    assert.deepEqual(ours.differing, [])
    assert.ok(foreign.rows >= 8 * 12 * 3 && ours.rows >= 8 * 7 * 3)
  })
}
