// A hidden tab also moves to the session of its browser: at once where it can detect the change, else when it is shown.

import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fakeClock } from '../../lib/testing/index.ts'
import { bareTabs } from '../support/browser/bare-tabs.ts'
import { until, useBrowser } from '../support/browser/browser.ts'
import { restartableApp, type SessionKind } from '../support/browser/restartable-app.ts'

const KINDS: SessionKind[] = ['own cookie', 'express-session', 'koa-session']
/**
 * Pages also compare their session when a ping arrives, or when none has arrived for longer than this, in seconds. The library's clock
 * stands still, so none is sent, and a tab that moves has noticed the change.
 */
const SILENCE = 30
/** In seconds. */
const UNLOAD_DELAY = 5
const USE = `fetch('/use').then(answer => answer.json())`

describe('when another tab of the browser has started another session', { concurrency: 4 }, () => {
  const browser = useBrowser({ hasWindows: true })

  for (const kind of KINDS) {
    it(`a hidden tab of a trustworthy origin moves: ${kind}`, async t => {
      const { moves } = await twoTabs(t, kind, '127.0.0.1', 'hidden')
      await moves()
    })

    it(`a hidden tab of another origin moves when it is shown: ${kind}`, async t => {
      const { other, stays, moves } = await twoTabs(t, kind, 'app.test', 'hidden')
      await stays()
      await other.toFront()
      await moves()
    })

    for (const host of ['127.0.0.1', 'app.test']) {
      it(`a frozen tab of ${host} moves when it is shown: ${kind}`, async t => {
        const { other, stays, moves } = await twoTabs(t, kind, host, 'frozen')
        await stays()
        await other.toFront()
        await moves()
      })
    }
  }

  /** Opens two tabs, and starts another session in the one that is visible, after the other one was hidden or frozen. */
  async function twoTabs(t: TestContext, kind: SessionKind, host: string, state: 'hidden' | 'frozen') {
    const clock = fakeClock(Date.now())
    const app = await restartableApp(t, kind, { options: { clock } })
    const tabs = await bareTabs(t, browser)
    const url = `http://${host}:${app.port}/`
    const other = await tabs.open(url)
    await until(() => app.gradio.stats().pages === 1)
    await other.evaluate(`document.addEventListener('freeze', () => (window.wasFrozen = true))`)
    const before = String(await other.evaluate(USE))
    const visible = await tabs.open(url)
    await until(() => app.gradio.session(before)?.pages === 2)
    await until(async () => (await other.evaluate('document.visibilityState')) === 'hidden')
    if (state === 'frozen') {
      await other.freeze()
      await until(() => other.evaluate('window.wasFrozen'))
    }
    await tabs.clearCookies()
    const id = String(await visible.evaluate(USE))
    assert.notEqual(id, before)
    await until(() => (app.gradio.session(id)?.pages ?? 0) > 0, 'the visible tab moves', SILENCE)
    const moves = async () => {
      await until(() => app.gradio.session(id)?.pages === 2, 'both are in the new session', SILENCE)
      await until(() => app.gradio.session(before)?.pages === 0, 'none is in the old one')
      await clock.advance(UNLOAD_DELAY)
      assert.deepEqual(app.unloaded, [before])
    }
    const stays = async () => {
      await sleep(2_000)
      await clock.advance(UNLOAD_DELAY)
      assert.deepEqual([app.gradio.session(id)?.pages, app.gradio.session(before)?.pages], [1, 1])
      assert.deepEqual(app.unloaded, [])
    }
    return { other, moves, stays }
  }
})
