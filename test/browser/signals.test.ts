import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readdir } from 'node:fs/promises'
import { describe, it } from 'node:test'
import {
  generate,
  isConnected,
  open,
  sessionOf,
  sessionWith,
  startExample,
  until,
  useBrowser,
} from '../support/browser/browser.ts'

describe('a signal', { concurrency: true }, () => {
  const browser = useBrowser()

  for (const [signal, app] of [
    ['SIGTERM', 'Express'],
    ['SIGINT', 'Express'],
    ['SIGTERM', 'Koa'],
  ] as const) {
    it(`${signal} shuts the app on ${app} down cleanly while heartbeats are open`, async t => {
      const example = await startExample({}, app)
      t.after(() => example.stop())
      const context = await browser.newContext()
      const tab = await open(context, example.url)
      await generate(tab)
      const id = await sessionOf(example, tab)
      const stoppedAt = performance.now()
      example.process.kill(signal)
      const [code] = await once(example.process, 'exit')
      t.diagnostic(`exited ${Math.round(performance.now() - stoppedAt)} ms after ${signal}`)
      assert.equal(code, 0)
      await example.line('CLOSED')
      assert.deepEqual(example.lines.slice(example.lines.indexOf(`LOAD ${id}`)), [
        `LOAD ${id}`,
        `UNLOAD ${id} shutdown`,
        `STATE DELETED ${id} 2 shutdown`,
        `ENDED ${id} shutdown`,
        'CLOSED',
      ])
      assert.deepEqual(await readdir(example.pictureDir), [])
      await context.close()
    })
  }

  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    it(`${signal} shuts the app down cleanly while no user is present`, async t => {
      const example = await startExample({ GRACE_PERIOD: '3600', UNLOAD_DELAY: '0' })
      t.after(() => example.stop())
      const context = await browser.newContext()
      const tab = await open(context, example.url)
      const id = await sessionOf(example, tab)
      await context.close()
      await example.line(`UNLOAD ${id} disconnected`)
      example.process.kill(signal)
      const [code] = await once(example.process, 'exit')
      assert.equal(code, 0)
      await example.line('CLOSED')
      assert.deepEqual(example.lines.slice(example.lines.indexOf(`UNLOAD ${id} disconnected`) + 1), [
        `STATE DELETED ${id} 1 shutdown`,
        `ENDED ${id} shutdown`,
        'CLOSED',
      ])
      assert.deepEqual(await readdir(example.pictureDir), [])
    })
  }

  it('and a new start reconnects the page', async t => {
    const example = await startExample()
    t.after(() => example.stop())
    const context = await browser.newContext()
    const tab = await open(context, example.url)
    example.process.kill('SIGTERM')
    await until(async () => !(await isConnected(tab)), 'the page knows')

    const next = await startExample({ PORT: String(example.port) })
    t.after(() => next.stop())
    await until(() => isConnected(tab), 'the page is connected to the new process')
    const id = (await next.line('LOAD ')).replace('LOAD ', '')
    assert.equal(sessionWith(next, await generate(tab)), id)
    await tab.close()
    await next.line(`UNLOAD ${id}`)
    await context.close()
  })
})
