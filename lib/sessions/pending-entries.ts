import { v4 as uuid } from 'uuid'
import { detachString } from '../util/detach-string.js'
import { parentToken } from './scopes.js'
import type { Session } from './session.js'

/** An entry that waits for the cluster's answer. */
export interface PendingEntry {
  /** The id of the session, or the id that it gets if this entry begins it: the same for all pending entries of a token. */
  readonly id: string
  /** To be called once, when the cluster has answered. */
  answered(): void
}

/** What the pending entries need from this process's sessions. */
export interface PendingContext {
  find(token: string): Session | undefined
  /** Reschedules the session's next deadline. */
  arm(session: Session): void
}

/** Requests and pages whose entry the cluster has yet to answer. Until then, their sessions are neither unloaded nor ended here. */
export class PendingEntries {
  readonly #byToken = new Map<string, Group>()
  readonly #context: PendingContext
  #beginning = 0

  constructor(context: PendingContext) {
    this.#context = context
  }

  get any(): boolean {
    return this.#byToken.size > 0
  }

  /** How many sessions that don't exist here yet they may begin, without scopes. */
  get beginning(): number {
    return this.#beginning
  }

  /** Whether one of them may begin the session of that token. */
  mayBegin(token: string): boolean {
    return this.#byToken.get(token)?.begins ?? false
  }

  /** The id that the session of that token gets, if it doesn't exist here yet. */
  proposedId(token: string): string | undefined {
    const group = this.#byToken.get(token)
    return group?.session === undefined ? group?.id : undefined
  }

  /**
   * @param session the session in this process, if it exists
   * @param begins whether the entry begins the session if it exists nowhere
   */
  add(token: string, session: Session | undefined, begins: boolean): PendingEntry {
    const group = this.#groupOf(token, session)
    group.visitors++
    if (group.parent !== undefined) group.parent.presence.pendingInScopes++
    if (session !== undefined) session.presence.pendingEntries++
    else if (begins) this.#begins(group, true)
    return { id: group.id, answered: () => this.#answered(token, group) }
  }

  /** A session has begun here: the pending entries of its token count for it from now on. */
  begun(session: Session): void {
    const group = this.#byToken.get(session.token)
    if (group === undefined || group.session !== undefined) return
    group.session = session
    session.presence.pendingEntries += group.visitors
    this.#begins(group, false)
  }

  /** Pending entries of a session that has ended are kept apart from those of the next session of the token. */
  #groupOf(token: string, session: Session | undefined): Group {
    const known = this.#byToken.get(token)
    if (known !== undefined && known.session === session) return known
    const above = parentToken(token)
    const isScope = above !== undefined
    const parent = isScope ? this.#context.find(above) : undefined
    const id = session?.id ?? detachString(uuid())
    const group = { id, isScope, parent, session, visitors: 0, begins: false }
    this.#byToken.set(token, group)
    return group
  }

  #answered(token: string, group: Group): void {
    const { parent, session } = group
    if (session !== undefined) session.presence.pendingEntries--
    if (parent !== undefined) {
      parent.presence.pendingInScopes--
      this.#context.arm(parent)
    }
    if (--group.visitors > 0) return
    this.#begins(group, false)
    if (this.#byToken.get(token) === group) this.#byToken.delete(token)
  }

  #begins(group: Group, begins: boolean): void {
    if (group.begins !== begins && !group.isScope) this.#beginning += begins ? 1 : -1
    group.begins = begins
  }
}

interface Group {
  readonly id: string
  readonly isScope: boolean
  /** Of a scope: the session that it belongs to, if it exists here. */
  readonly parent: Session | undefined
  session: Session | undefined
  visitors: number
  begins: boolean
}
