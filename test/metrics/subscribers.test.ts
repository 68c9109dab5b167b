// What publishing costs without subscribers, and what a subscriber that throws does to the process.

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { type Channel, channel, subscribe, unsubscribe } from 'node:diagnostics_channel'
import { test } from 'node:test'
import { Events } from '../../lib/events.ts'
import { program } from '../support/program.ts'
import { useAllChannels } from '../support/sessions/all-channels.ts'
import { type ChannelName, channelNames } from '../support/sessions/channels.ts'
import { harness } from '../support/sessions/harness.ts'

test('without subscribers, each event asks its channel for subscribers, and publishes nothing', async t => {
  const checks = new Map<ChannelName, number>()
  const publications: ChannelName[] = []
  for (const name of channelNames) {
    const planted: Channel = channel(name)
    Object.defineProperty(planted, 'hasSubscribers', {
      configurable: true,
      get() {
        checks.set(name, (checks.get(name) ?? 0) + 1)
        return false
      },
    })
    planted.publish = () => void publications.push(name)
    t.after(() => {
      Reflect.deleteProperty(planted, 'hasSubscribers')
      Reflect.deleteProperty(planted, 'publish')
    })
  }
  await useAllChannels(t)
  assert.deepEqual([...checks.keys()].sort(), [...channelNames].sort())
  assert.deepEqual(publications, [])
})

test('without subscribers, no message is built', t => {
  let built = 0
  const events = new Events()
  // Each message has the instance.
  Object.defineProperty(events, 'instance', { get: () => `instance ${++built}` })
  publishAll(events)
  assert.equal(built, 0)

  for (const name of channelNames) {
    subscribe(name, ignore)
    t.after(() => unsubscribe(name, ignore))
  }
  publishAll(events)
  assert.equal(built, channelNames.length)
})

test('without subscribers, calls of hooks are not timed', async t => {
  const { gradio, clock, user } = harness(t)
  gradio.load(() => {})
  const { now } = clock
  let readings = 0
  clock.now = () => {
    readings++
    return now()
  }
  const costOf = async (name: string) => {
    const before = readings
    await user(name).session()
    await clock.advance(0)
    return readings - before
  }
  await costOf('first')
  const without = await costOf('second')
  subscribe('gradio-state:hook:run', ignore)
  t.after(() => unsubscribe('gradio-state:hook:run', ignore))
  assert.equal(await costOf('third'), without + 2)
})

test('a subscriber that throws affects neither the library nor other subscribers, and is an uncaught exception', () => {
  const args = program('test/support/metrics/throwing-subscribers.ts')
  const limit = { timeout: 120_000, killSignal: 'SIGKILL' } as const
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8', ...limit })
  assert.equal(stderr, '')
  assert.equal(status, 0)
  assert.deepEqual(stdout.trim().split('\n').sort(), [
    'ended by the shutdown: 1',
    'ended shutdown',
    'received gradio-state:session:begin undefined',
    'received gradio-state:session:end shutdown',
    'sessions: 1',
    'uncaught: gradio-state:session:begin',
    'uncaught: gradio-state:session:end',
  ])
})

function ignore(): void {}

function publishAll(events: Events): void {
  const file = { name: 'a.txt', size: 4 }
  const session = { id: 'session', parent: undefined }
  events.sessionBegan(session)
  events.sessionLoaded(session)
  events.sessionExpired('session')
  events.sessionUnloaded(session, 'disconnected')
  events.sessionEnded(session, 'disconnected')
  events.valueDeleted('session', 'cart', 'timeToLive')
  events.pageOpened('session', 'page')
  events.pageClosed('session', 'page')
  events.fileSaved('session', file)
  events.fileDeleted('session', file)
  events.hookRan({ source: 'load', session: 'session' }, 1, 'ok')
  events.errorEmitted(new Error('an error'), { source: 'files' })
}
