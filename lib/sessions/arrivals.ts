import { v4 as uuid } from 'uuid'
import { flat } from '../util/detach-string.js'
import type { Session } from './session.js'

/** A visitor whom the cluster has yet to answer. */
export interface Arrival {
  /** The id of the session, or the one that it is to have if the visitor begins it: the same for all that are on their way. */
  readonly id: string
  /** To be called once, with the answer. */
  answered(): void
}

/** Visitors whom the cluster has yet to answer. Until then, nothing is due of their sessions here. */
export class Arrivals {
  readonly #byToken = new Map<string, Group>()
  #beginning = 0

  get any(): boolean {
    return this.#byToken.size > 0
  }

  /** How many sessions that aren't here yet they may begin. */
  get beginning(): number {
    return this.#beginning
  }

  /** Whether one of them may begin the session of that token. */
  mayBegin(token: string): boolean {
    return this.#byToken.get(token)?.begins ?? false
  }

  /** The id that the session of that token is to have, if it isn't here yet. */
  proposedId(token: string): string | undefined {
    const group = this.#byToken.get(token)
    return group?.session === undefined ? group?.id : undefined
  }

  /** @param session the one that is here, if there is one  @param begins whether one is begun where there is none at all */
  add(token: string, session: Session | undefined, begins: boolean): Arrival {
    const group = this.#groupOf(token, session)
    group.visitors++
    if (session !== undefined) session.presence.arriving++
    else if (begins) this.#begins(group, true)
    return { id: group.id, answered: () => this.#answered(token, group) }
  }

  /** A session has begun here: visitors who are on the way to it count for it from now on. */
  begun(session: Session): void {
    const group = this.#byToken.get(session.token)
    if (group === undefined || group.session !== undefined) return
    group.session = session
    session.presence.arriving += group.visitors
    this.#begins(group, false)
  }

  /** Visitors to a session that has ended meanwhile are others than those to the next one. */
  #groupOf(token: string, session: Session | undefined): Group {
    const known = this.#byToken.get(token)
    if (known !== undefined && known.session === session) return known
    const group = { id: session?.id ?? flat(uuid()), session, visitors: 0, begins: false }
    this.#byToken.set(token, group)
    return group
  }

  #answered(token: string, group: Group): void {
    if (group.session !== undefined) group.session.presence.arriving--
    if (--group.visitors > 0) return
    this.#begins(group, false)
    if (this.#byToken.get(token) === group) this.#byToken.delete(token)
  }

  #begins(group: Group, begins: boolean): void {
    if (group.begins !== begins) this.#beginning += begins ? 1 : -1
    group.begins = begins
  }
}

interface Group {
  readonly id: string
  session: Session | undefined
  visitors: number
  begins: boolean
}
