import { type SessionLinks, shardIndexOf } from './session-links.js'
import { Shard, type ShardSite } from './shard.js'

/** All shards, and the one timer of their beats. */
export class Shards {
  readonly all: readonly Shard[]
  readonly #site: ShardSite
  readonly #links: SessionLinks
  #cancelBeat = () => {}
  #beatAt = Number.POSITIVE_INFINITY

  constructor(prefix: string, site: ShardSite, links: SessionLinks) {
    this.all = Array.from({ length: SHARDS }, (_, index) => new Shard(`{${prefix}:${index}}`, site))
    this.#site = site
    this.#links = links
  }

  /** The one that a session is in. */
  of({ token, key = this.#links.keyOf(token) }: { readonly token: string; readonly key?: string }): Shard {
    return this.all[shardIndexOf(key, SHARDS)] as Shard
  }

  tagged(tag: string): Shard | undefined {
    return this.all.find(shard => shard.tag === tag)
  }

  /** Redis may be back. */
  retry(): void {
    for (const shard of this.all) shard.retry()
  }

  /** Sets the timer to the beat that is due first. */
  setBeat(): void {
    const next = Math.min(...this.all.map(({ beatAt }) => beatAt))
    if (next >= this.#beatAt) return
    this.#beatAt = next
    this.#cancelBeat()
    const { clock } = this.#site
    this.#cancelBeat = clock.setTimer(() => this.#beat(), Math.max(next - clock.now(), 0))
  }

  /** Leaves this node's shares and work to the others. Never rejects. */
  async leave(): Promise<void> {
    this.#cancelBeat()
    this.#beatAt = Number.NEGATIVE_INFINITY
    await Promise.allSettled(this.all.map(shard => shard.leave()))
  }

  #beat(): void {
    const now = this.#site.clock.now()
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
