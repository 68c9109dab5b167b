// Browsers whose pages reconnect by themselves when their socket is lost.

import { Agent } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { type ClientPage, type Manner, openPage } from './client-page.js'
import { answering } from './harness/process.js'

/** How many pages are open, and when the last one was opened, in milliseconds since the epoch. */
export interface Back {
  readonly open: number
  readonly last: number
}

const cookies: string[] = []
let open = 0
let last = 0

answering({
  /** Opens a number of pages, which reconnect until this process ends. */
  async open(port: number, manner: Manner, count: number) {
    let left = count
    const agent = new Agent({ keepAlive: true, maxSockets: AT_ONCE })
    const some = async () => {
      while (left > 0) {
        const index = --left
        const id = crypto.randomUUID()
        const page = await openPage({ port, manner, id, agent })
        void stay(page, index, () =>
          openPage({ port, manner, id, agent: false, cookie: cookies[index] ?? '' }),
        )
      }
    }
    await Promise.all(Array.from({ length: AT_ONCE }, some))
    agent.destroy()
  },
  back: (): Back => ({ open, last }),
  /** How many of the users find exactly one page, their own, in the session that their cookie leads to. */
  async together(port: number): Promise<number> {
    let found = 0
    const rest = cookies.values()
    const some = async () => {
      for (const cookie of rest) {
        const answer = await fetch(`http://127.0.0.1:${port}/pages`, { headers: { cookie } })
        if ((await answer.text()) === '1') found++
      }
    }
    await Promise.all(Array.from({ length: AT_ONCE }, some))
    return found
  },
})

async function stay(first: ClientPage, index: number, again: () => Promise<ClientPage>): Promise<never> {
  let page = first
  for (;;) {
    cookies[index] = page.cookie
    open++
    last = Date.now()
    await page.closed
    open--
    page = await returned(again)
  }
}

async function returned(again: () => Promise<ClientPage>): Promise<ClientPage> {
  for (let attempt = 0; ; attempt++) {
    await sleep(delayOf(attempt))
    const page = await again().catch(() => undefined)
    if (page !== undefined) return page
  }
}

/** The defaults of Socket.IO's client: 1 s, doubled up to 5 s, each half more or less (socket.io/docs/v4/client-options). */
function delayOf(attempt: number): number {
  return Math.min(1_000 * 2 ** attempt * (0.5 + Math.random()), 5_000)
}

const AT_ONCE = 32
