import { EventEmitter, once } from 'node:events'
import type { TestContext } from 'node:test'
import type { Browser } from 'playwright-core'
import { until } from './browser.ts'

/**
 * A tab that isn't controlled by Playwright, which prevents its own tabs from being hidden (`Emulation.setFocusEmulationEnabled`),
 * and a tab that isn't hidden can't be frozen.
 */
export interface BareTab {
  evaluate(expression: string): Promise<unknown>
  toFront(): Promise<unknown>
  freeze(): Promise<unknown>
  /** Ends the process of its page. */
  crash(): Promise<void>
  goto(url: string): Promise<void>
}

/** The tabs of one window and one user. */
export interface BareTabs {
  /** Opens a tab in front of the others. */
  open(url: string): Promise<BareTab>
  clearCookies(): Promise<unknown>
}

export async function bareTabs(
  t: TestContext,
  browser: Pick<Browser, 'newBrowserCDPSession'>,
): Promise<BareTabs> {
  const cdp = await browser.newBrowserCDPSession()
  const { browserContextId } = await cdp.send('Target.createBrowserContext')
  t.after(() => cdp.send('Target.disposeBrowserContext', { browserContextId }))
  const answers = new Map<string, (answer: Answer) => void>()
  const crashed = new EventEmitter()
  let count = 0
  cdp.on('Target.receivedMessageFromTarget', ({ sessionId, message }) => {
    const { id, method, ...answer } = JSON.parse(message)
    if (method === 'Inspector.targetCrashed') crashed.emit(sessionId)
    answers.get(`${sessionId} ${id}`)?.(answer)
  })

  return {
    async open(url) {
      const { targetId } = await cdp.send('Target.createTarget', { url, browserContextId })
      const { sessionId } = await cdp.send('Target.attachToTarget', { targetId, flatten: false })
      const send = async (method: string, params: object) => {
        const id = ++count
        const message = JSON.stringify({ id, method, params })
        const answered = new Promise<Answer>(resolve => answers.set(`${sessionId} ${id}`, resolve))
        await cdp.send('Target.sendMessageToTarget', { sessionId, message })
        return answered
      }
      const loaded = () =>
        until(async () => (await tab.evaluate('document.readyState')) === 'complete', 'the page is loaded')
      const tab: BareTab = {
        async evaluate(expression) {
          const params = { expression, returnByValue: true, awaitPromise: true }
          return (await send('Runtime.evaluate', params)).result?.result?.value
        },
        toFront: () => cdp.send('Target.activateTarget', { targetId }),
        freeze: () => send('Page.setWebLifecycleState', { state: 'frozen' }),
        async crash() {
          await send('Inspector.enable', {})
          // The crashed page doesn't answer.
          void send('Page.crash', {})
          await once(crashed, sessionId)
        },
        async goto(url) {
          await send('Page.navigate', { url })
          await loaded()
        },
      }
      await loaded()
      return tab
    },
    clearCookies: () => cdp.send('Storage.clearCookies', { browserContextId }),
  }
}

interface Answer {
  result?: { result?: { value?: unknown } }
}
