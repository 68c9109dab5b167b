import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { assertFinished, assertNoRepeats, countBy, of } from './event-checks.ts'
import type { ClusterPage } from './node-page.ts'
import { type Cluster, startNodes } from './node-processes.ts'
import type { RedisAt } from './types.ts'

export interface ChaosReport {
  readonly sessions: number
  readonly opened: number
  readonly stops: number
  readonly unloads: number
}

/**
 * Users who arrive, leave and change nodes continuously, with one page each, while nodes are paused at random.
 * @param longest how many seconds a node is paused at most
 */
export async function chaos(
  redisAt: RedisAt,
  users: number,
  seconds: number,
  longest: number,
): Promise<ChaosReport> {
  const cluster = await startNodes(redisAt, { gracePeriod: 2, unloadDelay: 0.3 })
  let isOn = true
  let stops = 0
  const stop = async () => {
    while (isOn) {
      await sleep(Math.random() * 1_000)
      const node = cluster.any()
      node.signal('SIGSTOP')
      stops++
      await sleep(Math.random() * longest * 1000)
      node.signal('SIGCONT')
    }
  }
  try {
    const people = Array.from({ length: users }, (_, index) => new User(cluster, `user-${index}`))
    const living = people.map(user => user.live())
    const stopping = longest > 0 ? stop() : undefined
    await sleep(seconds * 1000)
    isOn = false
    await stopping
    for (const user of people) user.settle()
    await Promise.all(living)
    // Long enough for everything that is delayed.
    await sleep(5_000)
    assert.deepEqual(
      people.filter(({ page }) => page?.isOver !== false).map(({ name }) => name),
      [],
      'that all have a page',
    )
    const here = cluster.events().length
    await sleep(3_500)
    const meanwhile = cluster
      .events()
      .slice(here)
      .filter(({ what }) => what === 'ended' || what === 'unload')
    assert.deepEqual(meanwhile, [], 'that nobody is taken for gone who is here')
    for (const user of people) user.leave()
    const sessions = () => countBy(cluster.events(), 'load')
    const left = () => {
      const ended = countBy(cluster.events(), 'ended')
      return [...sessions().keys()].filter(session => !ended.has(session))
    }
    await cluster
      .until(() => left().length === 0, 20)
      .catch(() => assert.deepEqual(left(), [], 'that all sessions end'))
    await sleep(500)
    const events = cluster.events()
    assertNoRepeats(events)
    assertFinished(events, sessions().keys())
    const opened = people.reduce((sum, user) => sum + user.opened, 0)
    await cluster.untilEmpty()
    return { sessions: sessions().size, opened, stops, unloads: of(events, 'unload').length }
  } finally {
    await cluster.remove()
  }
}

class User {
  readonly name: string
  page: ClusterPage | undefined
  opened = 0
  readonly #cluster: Cluster
  #isSettling = false
  #tab = 0

  constructor(cluster: Cluster, name: string) {
    this.#cluster = cluster
    this.name = name
  }

  settle(): void {
    this.#isSettling = true
  }

  leave(): void {
    this.#isSettling = false
    this.page?.drop()
  }

  /** Arrives and leaves until the test ends: then it stays, with a page that is opened again whenever it is disconnected. */
  async live(): Promise<void> {
    await sleep(Math.random() * 1_000)
    while (!this.#isSettling) {
      await this.#open()
      await Promise.race([sleep(this.#moment()), this.page?.over])
      // If it was disconnected, it returns at once; otherwise it leaves in one of these ways.
      if (this.page?.isOver) continue
      const way = Math.random()
      if (way < 0.5) this.page?.drop()
      else if (way < 0.6) this.#tab++
      else {
        await this.page?.close().catch(() => this.page?.drop())
        this.#tab++
      }
      if (way >= 0.3) await sleep(this.#moment() * 2)
    }
    await this.#stay()
  }

  async #stay(): Promise<void> {
    await this.#open()
    const { page } = this
    void page?.over.then(() => {
      if (this.page === page && this.#isSettling) return this.#stay()
    })
  }

  /** On any node that responds. */
  async #open(): Promise<void> {
    const before = this.page
    for (;;) {
      try {
        const node = this.#cluster.any()
        this.page = await node.open(this.name, `${this.name}-${this.#tab}`, 700)
        this.opened++
        break
      } catch {
        // The node was paused, or the page has left there and is a different one now.
        this.#tab++
      }
    }
    before?.drop()
  }

  /** Mostly none, sometimes seconds. */
  #moment(): number {
    return Math.random() < 0.7 ? Math.random() * 30 : Math.random() * 2_000
  }
}
