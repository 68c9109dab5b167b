import { createHash } from 'node:crypto'
import type { SessionRef } from '../../sessions/coordinator.js'

/** What leads from this node's session to the one in Redis: nothing that the presence knows. */
export class SessionLink {
  readonly token: string
  /** What the session is called in Redis: the token itself is a credential. */
  readonly key: string
  /** What this node knows the session by. */
  readonly id: string
  /** What the nodes know it by. It differs where this node could not wait, and began a session that there was already. */
  clusterId: string
  /** The epoch of the Redis that has confirmed it; empty before that. */
  epoch = ''
  /** Whether this node has ended it, or has heard of its end. */
  isOver = false
  /** The load that this node's entry has brought about when it had ended the session here: no load hooks ran for it. */
  lostLoad = 0
  /** The version that the last answer told of: messages of older ones are overtaken. */
  version = 0
  /** The same for each page that has entered here. */
  readonly pages = new Map<string, number>()

  constructor({ token, id }: SessionRef, clusterId: string) {
    this.token = token
    this.key = keyOf(token)
    this.id = id
    this.clusterId = clusterId
  }

  note(version: number): void {
    this.version = Math.max(this.version, version)
  }
}

/** The links of this node's sessions, by their tokens and by what the nodes call them. */
export class SessionLinks {
  readonly #byToken = new Map<string, SessionLink>()
  readonly #byClusterId = new Map<string, SessionLink>()
  /** How many visitors are being asked about, and what has ended since the first of them was: on the how-manieth call. */
  #asking = 0
  readonly #ended = new Map<string, number>()
  #calls = 0

  /** What the session of a token is called in Redis. */
  keyOf(token: string): string {
    return this.#byToken.get(token)?.key ?? keyOf(token)
  }

  /** Redis is being asked about an entry. @returns tells, with the answer, whether that session has ended since */
  asking(): { answered(): void; hasEnded(clusterId: string): boolean } {
    this.#asking++
    const call = ++this.#calls
    return {
      answered: () => {
        if (--this.#asking === 0) this.#ended.clear()
      },
      hasEnded: clusterId => (this.#ended.get(clusterId) ?? 0) > call,
    }
  }

  byClusterId(id: string): SessionLink | undefined {
    return this.#byClusterId.get(id)
  }

  find({ token, id }: SessionRef): SessionLink | undefined {
    const current = this.#byToken.get(token)
    if (current?.id === id) return current
    // Another session has begun already, and word of the end of this one is on its way.
    const former = this.#byClusterId.get(id)
    return former?.token === token ? former : undefined
  }

  /** A session begins here, whatever Redis knows. */
  begin(session: SessionRef): SessionLink {
    return this.#add(new SessionLink(session, session.id))
  }

  /** Redis calls the session of that token so. */
  confirm(token: string, clusterId: string, epoch: string): SessionLink {
    const current = this.#byToken.get(token)
    // Begun without waiting for Redis, it stands here for what the others know by another id.
    const isCurrent = current?.clusterId === clusterId || current?.epoch === ''
    const link =
      current !== undefined && isCurrent
        ? this.rename(current, clusterId)
        : this.#add(new SessionLink({ token, id: clusterId }, clusterId))
    link.epoch = epoch
    return link
  }

  rename(link: SessionLink, clusterId: string): SessionLink {
    if (this.#byClusterId.get(link.clusterId) === link) this.#byClusterId.delete(link.clusterId)
    link.clusterId = clusterId
    this.#byClusterId.set(clusterId, link)
    return link
  }

  forget(link: SessionLink): void {
    link.isOver = true
    if (this.#asking > 0) this.#ended.set(link.clusterId, ++this.#calls)
    if (this.#byToken.get(link.token) === link) this.#byToken.delete(link.token)
    if (this.#byClusterId.get(link.clusterId) === link) this.#byClusterId.delete(link.clusterId)
  }

  #add(link: SessionLink): SessionLink {
    this.#byToken.set(link.token, link)
    this.#byClusterId.set(link.clusterId, link)
    return link
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
