// The browsers: open pages as raw sockets, in a process of their own.

import { Agent } from 'node:http'
import { type ClientPage, type Manner, openPage } from './client-page.js'
import { answering } from './harness/process.js'

/** What the pages have received so far. */
export interface Received {
  /** How many are open. */
  readonly open: number
  /** Heartbeats of all pages. */
  readonly beats: number
  /** Heartbeats of the page that received the fewest. */
  readonly fewest: number
}

const pages: ClientPage[] = []

answering({
  async open(port: number, manner: Manner, count: number) {
    let left = count
    const agent = new Agent({ keepAlive: true, maxSockets: AT_ONCE })
    const one = async () => {
      while (left-- > 0) pages.push(await openPage({ port, manner, id: crypto.randomUUID(), agent }))
    }
    await Promise.all(Array.from({ length: AT_ONCE }, one))
    agent.destroy()
  },
  received(): Received {
    const beats = pages.map(page => page.beats)
    return {
      open: pages.filter(page => page.isOpen).length,
      beats: beats.reduce((sum, each) => sum + each, 0),
      fewest: beats.reduce((least, each) => Math.min(least, each), Number.POSITIVE_INFINITY),
    }
  },
  /** Returns the time when it started. */
  close(how: 'goodbye' | 'break'): number {
    const begun = Date.now()
    for (const page of pages) page.close(how)
    return begun
  },
})

const AT_ONCE = 32
