// Other instances at the same server: a newer one, and one from another copy of the package.

import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { it, type TestContext } from 'node:test'
import { type GradioState, gradioState } from '../../lib/index.ts'
import { fakeClock } from '../../lib/testing/index.ts'
import { serve } from '../support/http/express.ts'
import { dial, heartbeat, isHooked } from '../support/pages/handshake.ts'

const require = createRequire(import.meta.url)
const built = require('../../dist/cjs/index.js') as { gradioState: typeof gradioState }

/** A server whose app uses the instance that was set last, as with hot reloading. */
async function reloading(t: TestContext) {
  let current: GradioState | undefined
  const served = await serve(t, (req, res) => current?.(req, res, () => res.end()))
  const load = (make: typeof gradioState): GradioState => {
    const gradio = make({ clock: fakeClock() })
    t.after(() => gradio.close({ timeout: 0 }))
    current = gradio
    return gradio
  }
  const open = async (page: string) =>
    (await dial(t, served, page, await heartbeat(served.visitor(), page))).status
  return { served, load, open }
}

for (const [name, make] of Object.entries({
  'the same copy': gradioState,
  'another copy': built.gradioState,
})) {
  it(`a newer instance of ${name} has the pages that it has opened, and an older one keeps its own`, async t => {
    const { served, load, open } = await reloading(t)
    const before = Reflect.ownKeys(served.server).map(String).sort()
    const older = load(gradioState)
    const user = served.visitor()
    const early = await heartbeat(user, 'early')
    const newer = load(make)
    assert.equal(await open('late'), 101)
    assert.deepEqual([older.stats().pages, newer.stats().pages], [1, 1])
    assert.equal((await dial(t, served, 'early', early)).status, 101)
    assert.equal((await dial(t, served, 'early', early)).status, 401)
    await older.close({ timeout: 0 })
    assert.ok(isHooked(served.server))
    assert.equal(await open('later'), 101)
    await newer.close({ timeout: 0 })
    assert.ok(!isHooked(served.server))
    assert.deepEqual(Reflect.ownKeys(served.server).map(String).sort(), before)
  })
}
