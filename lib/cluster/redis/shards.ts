import { type SessionLinks, shardIndexOf } from './session-links.js'
import { Shard } from './shard.js'
import type { ShardContext } from './shard-context.js'

/** All shards, and the timer of their heartbeats. */
export class Shards {
  readonly all: readonly Shard[]
  readonly #context: ShardContext<Shard>
  readonly #links: SessionLinks
  #cancelBeat = () => {}
  #beatAt = Number.POSITIVE_INFINITY

  constructor(prefix: string, context: ShardContext<Shard>, links: SessionLinks) {
    this.all = Array.from({ length: SHARDS }, (_, index) => new Shard(`{${prefix}:${index}}`, context))
    this.#context = context
    this.#links = links
  }

  /** The shard that contains a session. */
  of({ token, key = this.#links.keyOf(token) }: { readonly token: string; readonly key?: string }): Shard {
    return this.all[shardIndexOf(key, SHARDS)] as Shard
  }

  tagged(tag: string): Shard | undefined {
    return this.all.find(shard => shard.tag === tag)
  }

  /** Redis may be available again. */
  retry(): void {
    for (const shard of this.all) shard.retry()
  }

  /** Sets the timer to the earliest heartbeat. */
  setBeat(): void {
    const next = Math.min(...this.all.map(({ beatAt }) => beatAt))
    if (next >= this.#beatAt) return
    this.#beatAt = next
    this.#cancelBeat()
    const { clock } = this.#context
    this.#cancelBeat = clock.setTimer(() => this.#beat(), Math.max(next - clock.now(), 0))
  }

  /** Hands this node's shares and work over to the other nodes. Never rejects. */
  async leave(): Promise<void> {
    this.#cancelBeat()
    this.#beatAt = Number.NEGATIVE_INFINITY
    await Promise.allSettled(this.all.map(shard => shard.leave()))
  }

  #beat(): void {
    const now = this.#context.clock.now()
    this.#beatAt = Number.POSITIVE_INFINITY
    for (const shard of this.all) {
      if (shard.beatAt > now) continue
      shard.beatAt = Number.POSITIVE_INFINITY
      void shard.beat()
    }
    this.setBeat()
  }
}

const SHARDS = 16
