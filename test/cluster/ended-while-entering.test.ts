// A load hook ends the session while the answer to another entry arrives.

import assert from 'node:assert/strict'
import { it } from 'node:test'
import { redisSetting } from '../support/cluster/places.ts'
import { harness } from '../support/sessions/harness.ts'

const setting = redisSetting()

it('an entry whose session a load hook has just ended does not begin it again', async t => {
  const place = setting.place()
  const { gradio, user, clock } = harness(t, { gracePeriod: 60, cluster: place.cluster! }, place.clock)
  const [loaded, ended]: [string[], string[]] = [[], []]
  gradio.load(({ session }) => {
    loaded.push(session.id)
    return gradio.session(session.id)?.end()
  })
  gradio.ended(({ session }) => void ended.push(session.id))
  await clock.advance(0)
  // Its request and its page enter at the same time.
  const page = user().connect()
  await clock.advance(1)
  ;(await page).close()
  await clock.advance(200)
  assert.equal(new Set(loaded).size, loaded.length)
  assert.deepEqual(ended, loaded)
  assert.equal(gradio.stats().sessions, 0)
})
