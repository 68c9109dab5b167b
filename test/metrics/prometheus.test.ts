// metrics(), scraped from a Prometheus exporter over HTTP.

import assert from 'node:assert/strict'
import { channel } from 'node:diagnostics_channel'
import { describe, it, type TestContext } from 'node:test'
import { redis } from '../../lib/cluster/redis/index.ts'
import type { GradioState, GradioStateOptions, Reason } from '../../lib/index.ts'
import { metrics } from '../../lib/metrics/index.ts'
import { scratch } from '../support/files/disk.ts'
import { until } from '../support/http/express.ts'
import { LIFETIME } from '../support/http/session-app.ts'
import { prometheus, type Scraped } from '../support/metrics/scrape.ts'
import { isAbout } from '../support/option-error.ts'
import { read } from '../support/package/files.ts'
import { channelNames } from '../support/sessions/channels.ts'
import { frameworkHarness } from '../support/sessions/framework-harness.ts'
import { harness } from '../support/sessions/harness.ts'

/** A measured instance on a fake clock. */
async function measured(t: TestContext, options: GradioStateOptions = {}) {
  const made = harness(t, options)
  const { meter, scrape } = await prometheus(t)
  const stop = metrics(made.gradio, { meter })
  t.after(stop)
  return { ...made, scrape, stop }
}

/** The reasons of a counter that has one, with the counts that aren't 0. */
function byReason(scraped: Scraped, name: string): Record<string, number> {
  const reasons = ['disconnected', 'expired', 'destroyed', 'regenerated', 'evicted', 'ended', 'shutdown']
  const all = [...reasons, 'timeToLive', 'deleted', 'replaced']
  const counts = all.map(
    reason => [reason, scraped.value(name, { gradio_state_reason: reason }) ?? 0] as const,
  )
  return Object.fromEntries(counts.filter(([, count]) => count > 0))
}

/** Asserts that the metrics agree with `stats()`, and the counters with the gauges. */
async function assertAgrees(gradio: GradioState, scrape: () => Promise<Scraped>): Promise<void> {
  const scraped = await scrape()
  const stats = gradio.stats()
  const stateOf = (state: string) =>
    scraped.value('gradio_state_session_count', { gradio_state_session_state: state })
  const total = (name: string) => scraped.value(`gradio_state_${name}_total`) ?? Number.NaN
  const ended = Object.entries(stats.ended).filter(([, count]) => count > 0)
  assert.deepEqual(
    {
      open: stateOf('open'),
      closed: stateOf('closed'),
      ending: stateOf('ending'),
      pages: scraped.value('gradio_state_page_count'),
      values: scraped.value('gradio_state_value_count'),
      files: scraped.value('gradio_state_file_count'),
      fileBytes: scraped.value('gradio_state_cache_usage'),
      ended: byReason(scraped, 'gradio_state_session_ended_total'),
      begunAndNotEnded: total('session_begun') - total('session_ended'),
      loadedAndNotUnloaded: total('session_loaded') - total('session_unloaded'),
      savedAndNotDeleted: total('file_saved') - total('file_deleted'),
      openedAndNotClosed: total('page_opened') - total('page_closed'),
    },
    {
      open: stats.open,
      closed: stats.sessions - stats.open,
      ending: stats.ending,
      pages: stats.pages,
      values: stats.values,
      files: stats.files,
      fileBytes: stats.fileBytes,
      ended: Object.fromEntries(ended),
      begunAndNotEnded: stats.sessions,
      loadedAndNotUnloaded: stats.loaded,
      savedAndNotDeleted: stats.files,
      openedAndNotClosed: stats.pages,
    },
  )
}

describe('metrics()', () => {
  it('agrees with stats() after each step, and has the reasons', async t => {
    const { gradio, clock, user, scrape } = await measured(t, { cacheDir: scratch(t), maxSessions: 3 })
    const other = harness(t)
    await other.user('of another instance').session()
    await assertAgrees(gradio, scrape)

    const page = await user('reader').connect()
    await user('reader').request(async state => {
      state.set('cart', [], { timeToLive: 10 })
      state.set('draft', '')
      await state.saveFile('text', { name: 'a.txt' })
      // A scope is no session, but its values and files count.
      const scope = state.scoped('tab')
      scope.set('draft', '')
      await scope.saveFile('text', { name: 'b.txt' })
    })
    await assertAgrees(gradio, scrape)
    const begun = await scrape()
    assert.equal(begun.value('gradio_state_page_count'), 1)
    assert.equal(begun.value('gradio_state_value_count'), 3)
    assert.equal(begun.value('gradio_state_file_count'), 2)

    await clock.advance(10)
    await assertAgrees(gradio, scrape)
    assert.deepEqual(byReason(await scrape(), 'gradio_state_value_deleted_total'), { timeToLive: 1 })

    page.close()
    await clock.advance(10)
    await assertAgrees(gradio, scrape)
    assert.deepEqual(byReason(await scrape(), 'gradio_state_session_unloaded_total'), { disconnected: 1 })

    await user('reader').request(state => state.end())
    await assertAgrees(gradio, scrape)

    for (const name of ['a', 'b', 'c', 'd']) await user(name).request(state => state.set('name', name))
    await assertAgrees(gradio, scrape)

    await clock.advance('2h')
    await user('late').request(state => state.set('name', 'late'))
    await assertAgrees(gradio, scrape)

    await gradio.close()
    await assertAgrees(gradio, scrape)
    const end = await scrape()
    const ended = { ended: 1, evicted: 1, disconnected: 3, shutdown: 1 } satisfies Partial<
      Record<Reason, number>
    >
    assert.deepEqual(byReason(end, 'gradio_state_session_ended_total'), ended)
    assert.deepEqual(byReason(end, 'gradio_state_value_deleted_total'), {
      ...ended,
      ended: 2,
      timeToLive: 1,
    })
    assert.equal(end.value('gradio_state_session_begun_total'), 6)
  })

  it('measures the duration of hooks and callbacks, and counts their errors and time-outs', async t => {
    const { gradio, clock, user, errors, scrape } = await measured(t)
    gradio.load(() => new Promise<void>(resolve => clock.setTimer(resolve, 3000)))
    gradio.unload(() => new Promise(() => {}))
    gradio.ended(() => Promise.reject(new Error('refused')))
    await user().session()
    await clock.advance('2h')
    assert.equal(errors.splice(0).length, 2)
    const scraped = await scrape()
    const value = (name: string, source: string, labels = {}) =>
      scraped.value(name, { gradio_state_source: source, ...labels })
    const bucket = (source: string, le: string) => value('gradio_state_hook_duration_bucket', source, { le })
    assert.deepEqual([bucket('load', '2.5'), bucket('load', '5')], [0, 1])
    assert.equal(value('gradio_state_hook_duration_sum', 'load'), 3)
    assert.equal(value('gradio_state_hook_duration_sum', 'unload', { error_type: 'timeout' }), 5)
    assert.equal(value('gradio_state_hook_duration_count', 'ended', { error_type: '_OTHER' }), 1)
    assert.equal(value('gradio_state_hook_timeouts_total', 'unload'), 1)
    assert.equal(value('gradio_state_hook_timeouts_total', 'load'), 0)
    assert.deepEqual(
      [value('gradio_state_errors_total', 'ended'), value('gradio_state_errors_total', 'unload')],
      [1, 1],
    )
  })

  it('counts an outage of the session store', async t => {
    const { gradio, clock, store, user, errors } = frameworkHarness(t)
    const { meter, scrape } = await prometheus(t)
    t.after(metrics(gradio, { meter }))
    const faults = async () =>
      (await scrape()).value('gradio_state_errors_total', { gradio_state_source: 'store' })
    await user().session()
    assert.equal(await faults(), 0)
    store.trouble = () => new Error('The store is unavailable.')
    await clock.advance(LIFETIME * 2)
    assert.equal(await faults(), 1)
    assert.equal(errors.splice(0).length, 1)
  })

  it('counts an outage of Redis', async t => {
    const { gradio, errors, scrape } = await measured(t, { cluster: redis({ url: 'redis://127.0.0.1:1' }) })
    await until(() => errors.length > 0)
    const scraped = await scrape()
    assert.equal(scraped.value('gradio_state_errors_total', { gradio_state_source: 'cluster' }), 1)
    assert.equal(errors.splice(0).length, 1)
    assert.ok(gradio.id)
  })

  it('adds attributes to each data point, which distinguish instances with the same meter', async t => {
    const { meter, scrape } = await prometheus(t)
    const names = ['one', 'other']
    for (const name of names) {
      const { gradio, user } = harness(t)
      t.after(metrics(gradio, { meter, attributes: { part: name } }))
      await user().session()
    }
    const scraped = await scrape()
    for (const name of scraped.names) {
      if (!name.startsWith('gradio_state_')) continue
      const parts = names.map(part => scraped.value(name, { part }) ?? Number.NaN)
      assert.equal(parts[0]! + parts[1]!, scraped.value(name), name)
    }
    assert.equal(scraped.value('gradio_state_session_begun_total', { part: 'one' }), 1)
  })

  it('returns a function that removes it', async t => {
    const { user, scrape, stop } = await measured(t)
    await user('first').session()
    stop()
    stop()
    await user('second').session()
    const scraped = await scrape()
    assert.equal(scraped.value('gradio_state_session_begun_total'), 1)
    assert.equal(scraped.value('gradio_state_session_count'), undefined)
    for (const name of channelNames) assert.equal(channel(name).hasSubscribers, false, name)
  })

  it('refuses unknown options', t => {
    const { gradio } = harness(t)
    const options = { meters: 1 }
    assert.throws(() => metrics(gradio, options as object), isAbout('metrics()', '"meters"'))
  })

  it('is documented: each metric, and those of the alerts', async t => {
    const { user, gradio, scrape } = await measured(t)
    gradio.load(() => {})
    await user().session()
    const page = read('docs/operations.md')
    const exported = [...(await scrape()).names]
      .filter(name => name.startsWith('gradio_state_'))
      .map(name => name.replace(/_(total|bucket|sum)$/, '').replace('hook_duration_count', 'hook_duration'))
    const documented = [...page.matchAll(/^\| `(gradio_state\.[a-z._]+)` /gm)].map(([, name = '']) =>
      name.replaceAll('.', '_'),
    )
    assert.deepEqual([...new Set(exported)].sort(), documented.sort())

    const { names } = await scrape()
    const alerts = [...page.matchAll(/\b(gradio_state_[a-z_]+)(?=[{[ ])/g)].map(([, name = '']) => name)
    assert.ok(alerts.length > 5)
    assert.deepEqual(
      alerts.filter(name => !names.has(name)),
      [],
    )
  })
})
