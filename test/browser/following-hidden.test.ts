// A tab that nobody sees moves to the session of its browser, too: at once where it can learn of the change, else when it is shown.

import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { bareTabs } from '../support/browser/bare-tabs.ts'
import { until, useBrowser } from '../support/browser/browser.ts'
import { restartableApp, type SessionKind } from '../support/browser/restartable-app.ts'

const KINDS: SessionKind[] = ['own cookie', 'express-session', 'koa-session']
/** Longer than the unload delay, in milliseconds. */
const UNLOAD_PASSES = 3_000
const USE = `fetch('/use').then(answer => answer.json())`

describe('when another tab of the browser has started another session', { concurrency: 4 }, () => {
  const browser = useBrowser({ hasWindows: true })

  for (const kind of KINDS) {
    it(`a hidden tab of a trustworthy origin moves: ${kind}`, async t => {
      const { app, id, before, unloaded } = await twoTabs(t, kind, '127.0.0.1')
      await until(() => app.gradio.session(id)?.pages === 2, 'both are in the new session')
      await until(() => unloaded().length > 0, 'the old session is unloaded')
      assert.deepEqual(unloaded(), [before])
    })

    it(`a hidden tab of another origin moves when it is shown: ${kind}`, async t => {
      const { app, id, before, other, unloaded } = await twoTabs(t, kind, 'app.test')
      await sleep(UNLOAD_PASSES)
      assert.deepEqual([app.gradio.session(id)?.pages, app.gradio.session(before)?.pages], [1, 1])
      assert.deepEqual(unloaded(), [])
      await other.toFront()
      await until(() => app.gradio.session(id)?.pages === 2, 'both are in the new session')
      await until(() => unloaded().length > 0, 'the old session is unloaded')
      assert.deepEqual(unloaded(), [before])
    })

    for (const host of ['127.0.0.1', 'app.test']) {
      it(`a frozen tab of ${host} moves when it is shown: ${kind}`, async t => {
        const { app, id, before, other, unloaded } = await twoTabs(t, kind, host, 'frozen')
        await sleep(UNLOAD_PASSES)
        assert.deepEqual([app.gradio.session(id)?.pages, app.gradio.session(before)?.pages], [1, 1])
        assert.deepEqual(unloaded(), [])
        await other.toFront()
        await until(() => app.gradio.session(id)?.pages === 2, 'both are in the new session')
        await until(() => unloaded().length > 0, 'the old session is unloaded')
        assert.deepEqual(unloaded(), [before])
      })
    }
  }

  /** Opens two tabs, and starts another session in the one that is visible, after the other one was hidden or frozen. */
  async function twoTabs(
    t: Parameters<typeof bareTabs>[0],
    kind: SessionKind,
    host: string,
    state: 'hidden' | 'frozen' = 'hidden',
  ) {
    const app = await restartableApp(t, kind)
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
    await until(() => (app.gradio.session(id)?.pages ?? 0) > 0, 'the visible tab moves')
    return { app, id, before, other, unloaded: () => app.unloaded }
  }
})
