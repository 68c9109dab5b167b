import type { EndReason, EngineEvents } from '../../sessions/engine.js'
import type { Claims } from './claims.js'
import type { Holders } from './holders.js'
import type { Part } from './part.js'
import type { Parts } from './parts.js'
import type { Announced } from './protocol.js'
import type { Shard } from './shard.js'

/** What the messages need of their engine. */
export interface MessagesSite {
  readonly events: EngineEvents | undefined
}

/** What this node hears of its sessions: from other nodes, and when it announces what it holds. */
export class Messages {
  readonly #site: MessagesSite
  readonly #parts: Parts
  readonly #holders: Holders
  readonly #claims: Claims

  constructor(site: MessagesSite, parts: Parts, holders: Holders, claims: Claims) {
    this.#site = site
    this.#parts = parts
    this.#holders = holders
    this.#claims = claims
  }

  heard(shard: Shard, [what, life = '', ...rest]: string[]): void {
    const part = this.#parts.byShared(life)
    if (what === 'due') shard.noteDue(0)
    if (part === undefined) return
    const { events } = this.#site
    if (what === 'gone') this.#gone(part, rest[0] as EndReason)
    else if (what === 'alias') this.#parts.rename(part, rest[0] as string)
    else if (what === 'unloaded') {
      // It has been loaded again since, by this node.
      if (Number(rest[1]) < part.load) return
      part.isUnloaded = true
      events?.unloaded(part.life, rest[0] as EndReason)
    } else if (what === 'expired') {
      part.isExpired = true
      events?.expired(part.life)
    } else if (what === 'goodbye') {
      const epoch = Number(rest[1])
      events?.goodbye(part.life, rest[0] as string, epoch < 0 ? undefined : epoch)
    } else if (what === 'moved') this.#moved(shard, part, rest[0] as string)
  }

  /** The answer to the announcement of a part. */
  announced(part: Part, shard: Shard, answer: Announced): void {
    if (answer[0] === 'gone') {
      this.#gone(part, answer[1])
      return
    }
    const [, life, load, due, returns] = answer
    this.#parts.confirm(part, shard.epoch, life)
    part.load = Number(load)
    shard.noteDue(due)
    if (returns === 0) return
    // Others took its holders for gone, and have unloaded it, or are about to.
    this.#site.events?.unloaded(part.life, 'disconnected')
    if (returns === 1) this.#site.events?.returned(part.life, part.load)
    else void this.#holders.reload(shard, part)
  }

  #gone(part: Part, reason: EndReason): void {
    this.#claims.forget(part)
    this.#site.events?.gone(part.token, part.life, reason)
  }

  #moved(shard: Shard, part: Part, page: string): void {
    const before = part.holdersOf(page)
    shard.send({
      // The page may have come back since, and the message be older than that.
      words: ['holds', part.key, part.shared, page],
      answered: ([isHere]) => {
        if (isHere === 1) return
        for (const holder of before) part.remove(holder)
        // It may have come back after it was asked.
        if (part.holdersOf(page).length > 0) return
        this.#site.events?.moved(part.life, page)
        // Of requests that came or went while the page was here, nothing was told.
        this.#holders.sync(shard, part, part.shared)
      },
      // Then it is told again when this node announces the page.
      failed: () => {},
    })
  }
}
