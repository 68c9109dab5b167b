import assert from 'node:assert/strict'
import { it, type TestContext } from 'node:test'
import { setImmediate as nextTick } from 'node:timers/promises'
import { type GradioStateOptions, gradioState } from '../lib/index.ts'
import { fakeClock } from '../lib/testing/index.ts'
import { closeNow } from './support/sessions/close-now.ts'
import { harness } from './support/sessions/harness.ts'

/** Collects the messages of this warning while a test runs. */
function messagesIn(t: TestContext): string[] {
  const messages: string[] = []
  const listen = ({ code, message }: Error & { code?: string }) => {
    if (code === 'GRADIO_STATE_MILLISECONDS') messages.push(message)
  }
  process.on('warning', listen)
  t.after(() => process.off('warning', listen))
  return messages
}

async function make(t: TestContext, options: GradioStateOptions) {
  const clock = fakeClock()
  const gradio = gradioState({ ...options, clock })
  t.after(() => closeNow(gradio, clock))
  await nextTick()
  return gradio
}

// In this order: a process warns of ten options at most.
it('accepts long durations with a unit, or without end, and long ones that are sane', async t => {
  const messages = messagesIn(t)
  const gracePeriod = ['400d', '3600000s', Number.POSITIVE_INFINITY, 30 * 86_400, '2592000'] as const
  for (const duration of gracePeriod) await make(t, { gracePeriod: duration })
  const gradio = await make(t, { unloadDelay: 3600, hookTimeout: '2h', deleteCache: [60, 86_400] })
  gradio.state('x', { timeToLive: '90d' })
  const { clock } = harness(t)
  await clock.advance(10_000_000)
  await nextTick()
  assert.deepEqual(messages, [])
})

const options: Record<string, [GradioStateOptions, text: RegExp]> = {
  gracePeriod: [
    { gracePeriod: 3_600_000 },
    /^Durations are seconds, so gracePeriod is more than 41 days\. If you meant 3600000 milliseconds, write '3600s'\. If not, write '3600000s'\. /,
  ],
  'frequency in deleteCache': [{ deleteCache: [2_700_000, 3600] }, /the frequency in deleteCache/],
  'age in deleteCache, as an environment variable': [
    { deleteCache: [60, '3600000'] },
    /the age in deleteCache/,
  ],
  'cookie.maxAge': [{ cookie: { maxAge: 3_600_000 } }, /cookie\.maxAge/],
  unloadDelay: [{ unloadDelay: 5000 }, /unloadDelay is more than 83 minutes\. .* write '5s'\./],
  hookTimeout: [{ hookTimeout: 10_000 }, /hookTimeout/],
}
for (const [name, [given, text]] of Object.entries(options)) {
  it(`warns once that ${name} is probably in milliseconds`, async t => {
    const messages = messagesIn(t)
    await make(t, given)
    await make(t, given)
    assert.equal(messages.length, 1)
    assert.match(messages[0]!, text)
  })
}

it('warns of the time to live of values, and of the timeout of close()', async t => {
  const messages = messagesIn(t)
  const { gradio, user } = harness(t)
  gradio.state('history', { timeToLive: 3_600_000 })
  gradio.sharedState('credits', { timeToLive: 3_600_000 })
  await user().request(state => state.set('model', 1, { timeToLive: 3_600_000 }))
  await gradio.close({ timeout: 25_000 })
  await nextTick()
  assert.equal(messages.length, 4)
  for (const [index, name] of ['history', 'credits', 'model'].entries()) {
    assert.ok(messages[index]!.includes(`timeToLive in the options of`), messages[index])
    assert.ok(messages[index]!.includes(`"${name}"`), messages[index])
  }
  assert.match(messages[3]!, /timeout of close\(\) is more than 416 minutes/)
})

it('warns ten times at most', async t => {
  const messages = messagesIn(t)
  const { user } = harness(t)
  await user().request(state => {
    for (let index = 0; index < 20; index++) state.set(`value ${index}`, 1, { timeToLive: 3_600_000 })
  })
  await nextTick()
  assert.equal(messages.length, 0)
})
