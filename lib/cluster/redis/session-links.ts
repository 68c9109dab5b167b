import { createHash } from 'node:crypto'
import type { SessionRef } from '../../sessions/coordinator.js'
import { parentToken, scopeKey, scopeToken } from '../../sessions/scopes.js'

/** Connects a session of this node to its record in Redis. Contains no data that the presence has. */
export class SessionLink {
  readonly token: string
  /** The name of the session in Redis. Not the token itself, which is a credential. */
  readonly key: string
  /** The id of the session on this node. */
  readonly id: string
  /** The id of the session in the cluster. Differs from `id` if this node began the session without waiting, and it already existed. */
  clusterId: string
  /** See {@link SessionLinks.scopeOf}. */
  scope = ''
  /** The epoch in which Redis has confirmed it; empty before that. */
  epoch = ''
  /** Whether this node has ended it, or received its end. */
  isEnded = false
  /** The load that an entry of this node has caused after the session had ended here: its load hooks have not run. */
  lostLoad = 0
  /** The version in the last answer. Messages with an older version are outdated. */
  version = 0
  /** The version at the last entry of each page. */
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

/** The links of this node's sessions, by token and by cluster id. */
export class SessionLinks {
  readonly #byToken = new Map<string, SessionLink>()
  readonly #byClusterId = new Map<string, SessionLink>()
  /** Pending calls of `enter`, and the sessions that have ended since the first of them began, with the serial number of the end. */
  #openCalls = 0
  readonly #ended = new Map<string, number>()
  #calls = 0

  /** The name of the session of a token in Redis. */
  keyOf(token: string): string {
    return this.#byToken.get(token)?.key ?? keyOf(token)
  }

  /** Must be called before `enter` is sent. @returns a function that checks, with the answer, whether that session has ended since */
  beginCall(): { answered(): void; hasEnded(clusterId: string): boolean } {
    this.#openCalls++
    const call = ++this.#calls
    return {
      answered: () => {
        if (--this.#openCalls === 0) this.#ended.clear()
      },
      hasEnded: clusterId => (this.#ended.get(clusterId) ?? 0) > call,
    }
  }

  /** For the record of a scope: the cluster id of the session that it belongs to, and its key. Empty if it is no scope. */
  scopeOf(token: string): string {
    const parent = parentToken(token)
    return parent === undefined ? '' : `${this.#byToken.get(parent)?.clusterId ?? ''} ${scopeKey(token)}`
  }

  byClusterId(id: string): SessionLink | undefined {
    return this.#byClusterId.get(id)
  }

  find({ token, id }: SessionRef): SessionLink | undefined {
    const current = this.#byToken.get(token)
    if (current?.id === id) return current
    // Another session may have begun before the end of this one was reported.
    const former = this.#byClusterId.get(id)
    return former?.token === token ? former : undefined
  }

  /** A session begins here, whether or not Redis knows it. */
  begin(session: SessionRef): SessionLink {
    return this.#add(new SessionLink(session, session.id))
  }

  /** Redis has answered with the cluster id of the token's session. */
  confirm(token: string, clusterId: string, epoch: string): SessionLink {
    const current = this.#byToken.get(token)
    // A session that began without waiting for Redis stands for the one that exists there under another id.
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
    link.isEnded = true
    if (this.#openCalls > 0) this.#ended.set(link.clusterId, ++this.#calls)
    if (this.#byToken.get(link.token) === link) this.#byToken.delete(link.token)
    if (this.#byClusterId.get(link.clusterId) === link) this.#byClusterId.delete(link.clusterId)
  }

  #add(link: SessionLink): SessionLink {
    link.scope = this.scopeOf(link.token)
    this.#byToken.set(link.token, link)
    this.#byClusterId.set(link.clusterId, link)
    return link
  }
}

/**
 * 128 bits are enough to distinguish tokens. A token that is already a hash isn't a credential. The name of a scope begins with that of
 * its session, so both are in the same shard.
 */
export function keyOf(token: string): string {
  const parent = parentToken(token)
  if (parent !== undefined) return keyOf(parent) + digest(scopeKey(token))
  return /^[\w-]{22}$/.test(token) ? token : digest(token)
}

function digest(text: string): string {
  return createHash('sha256').update(text).digest().toString('base64url', 0, 16)
}

/** The token of a session, made from its name in Redis, for a node that doesn't know its token. */
export function tokenFrom(key: string, { scope }: ScopeRef): string {
  return scope === undefined ? key : scopeToken(key.slice(0, KEY_LENGTH), scope)
}

/** What the record of a scope contains about it. */
export interface ScopeRef {
  /** The cluster id of the session that it belongs to. */
  readonly parentId?: string
  /** Its key. */
  readonly scope?: string
}

/** Parses what {@link SessionLinks.scopeOf} returns. */
export function parseScope(text: string): ScopeRef {
  const end = text.indexOf(' ')
  return end < 0 ? {} : { parentId: text.slice(0, end), scope: text.slice(end + 1) }
}

const KEY_LENGTH = 22

/** The index of the shard that contains a session. */
export function shardIndexOf(key: string, shards: number): number {
  let hash = 0
  for (let i = 2; i < 10; i++) hash = (hash * 31 + key.charCodeAt(i)) | 0
  return (hash >>> 0) % shards
}
