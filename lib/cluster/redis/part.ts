import { createHash } from 'node:crypto'
import type { Holder } from '../../sessions/engine.js'

/** What this node has of a session: who holds it here, and what is known of it. */
export class Part {
  readonly token: string
  /** What the session is called in Redis: the token itself is a credential. */
  readonly key: string
  /** What this process knows the life by; not settled before it has begun. */
  life: string
  /** Whether anybody was told of the life: before that, Redis is being asked. */
  isBegun = false
  /**
   * What the nodes know it by. It differs where this node could not wait for Redis to begin a life, and there was one already.
   */
  shared: string
  createdAt: number
  load = 1
  /** The epoch of the Redis that has confirmed it; empty before that. */
  epoch = ''
  isUnloaded = false
  /** Its host session has expired: what this node holds does not put off the unload any more. */
  isExpired = false
  hadPage = false
  pagesElsewhere = 0
  /** When its last holder left this node, on the node's clock. */
  leftAt: number | undefined
  navigations = 0
  requests = 0
  readonly #holders = new Set<Holder>()
  readonly #asked = new Set<Holder>()
  readonly #pages = new Map<string, number>()

  constructor(token: string, life: string, createdAt: number) {
    this.token = token
    this.key = keyOf(token)
    this.life = life
    this.shared = life
    this.createdAt = createdAt
  }

  get pages(): string[] {
    return [...this.#pages.keys()]
  }

  /** Whether a page here keeps the session, so that requests change nothing for the other nodes. */
  get isKept(): boolean {
    return this.#pageHolders > this.#asked.size && this.epoch !== '' && !this.isExpired && !this.isUnloaded
  }

  /** One that holds a page here. */
  get onePage(): Holder | undefined {
    for (const holder of this.#holders) if (holder.kind === 'page') return holder
    return undefined
  }

  /** Redis is being asked about the holder of a page, and has not answered: until then it keeps nothing. */
  noteAsked(holder: Holder, isAnswered: boolean): void {
    if (isAnswered || !this.#holders.has(holder)) this.#asked.delete(holder)
    else if (holder.kind === 'page') this.#asked.add(holder)
  }

  get #pageHolders(): number {
    let sum = 0
    for (const count of this.#pages.values()) sum += count
    return sum
  }

  get isHeld(): boolean {
    return this.#holders.size > 0
  }

  has(holder: Holder): boolean {
    return this.#holders.has(holder)
  }

  /** @returns whether it is new */
  add(holder: Holder): boolean {
    if (this.#holders.has(holder)) return false
    this.#holders.add(holder)
    this.leftAt = undefined
    if (holder.kind === 'page') {
      this.#pages.set(holder.id, (this.#pages.get(holder.id) ?? 0) + 1)
      this.hadPage = true
    }
    this.#count(holder, 1)
    return true
  }

  /** @returns whether it was there, and (of a page) nobody else holds it for the same page */
  remove(holder: Holder): boolean {
    if (!this.#holders.delete(holder)) return false
    this.#asked.delete(holder)
    this.#count(holder, -1)
    if (holder.kind !== 'page') return true
    const left = (this.#pages.get(holder.id) ?? 0) - 1
    if (left > 0) this.#pages.set(holder.id, left)
    else this.#pages.delete(holder.id)
    return left <= 0
  }

  /** Who holds that page here. */
  holdersOf(page: string): Holder[] {
    return [...this.#holders].filter(({ kind, id }) => kind === 'page' && id === page)
  }

  #count({ kind }: Holder, by: number): void {
    if (kind === 'navigation') this.navigations += by
    else if (kind === 'request') this.requests += by
  }
}

/** 128 bits tell as many tokens apart as there may be. A token that is a hash already is no credential. */
export function keyOf(token: string): string {
  if (/^[\w-]{22}$/.test(token)) return token
  return createHash('sha256').update(token).digest().toString('base64url', 0, 16)
}

/** Which of so many shards a session is in. */
export function shardIndexOf(key: string, shards: number): number {
  let hash = 0
  for (let i = 2; i < 10; i++) hash = (hash * 31 + key.charCodeAt(i)) | 0
  return (hash >>> 0) % shards
}
