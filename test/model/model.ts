// A second, simple implementation of the rules: one list of everything that is due, searched from the start at each step,
// without a cluster, a timer wheel or promises. The library must do everything that is in the model's log, in the same
// millisecond.

import { Entries } from './rules/entries.ts'
import { Hooks } from './rules/hooks.ts'
import { Lifecycle } from './rules/lifecycle.ts'
import { Pages } from './rules/pages.ts'
import { Requests } from './rules/requests.ts'
import { type Offer, Timeline } from './rules/timeline.ts'
import { Values } from './rules/values.ts'
import type { Modes, Session, Settings, User } from './session.ts'

export class Model {
  readonly settings: Settings
  readonly modes: Modes
  readonly users: readonly User[]
  /** The sessions that can be used, by token. */
  readonly sessions = new Map<string, Session>()
  /** The sessions that have ended but whose callbacks are still running. */
  readonly ending = new Set<Session>()
  readonly ended = { disconnected: 0, evicted: 0, ended: 0, shutdown: 0 }
  isClosing = false
  readonly time = new Timeline(offer => this.#offerAll(offer))
  readonly requests = new Requests(this)
  readonly pages = new Pages(this)
  readonly entries = new Entries(this)
  readonly lifecycle = new Lifecycle(this)
  readonly values = new Values(this)
  readonly hooks = new Hooks(this)
  /** When a response set each token as the browser's cookie. */
  readonly #deliveredAt = new Map<string, number>()

  constructor(settings: Settings, modes: Modes, users: readonly User[]) {
    this.settings = settings
    this.modes = modes
    this.users = users
  }

  #offerAll(offer: Offer): void {
    // Work that was due earlier and had to wait is due now.
    const last = (at: number) => ({ at: Math.max(at, this.time.now), serial: Number.MAX_SAFE_INTEGER })
    for (const session of [...this.sessions.values(), ...this.ending]) {
      for (const value of session.values.values()) offer(value.due, () => this.values.expire(session, value))
      for (const [id, page] of session.pages) {
        offer(page.due, () => {
          if (page.entry) this.pages.leave(page, {})
          else session.pages.delete(id)
        })
      }
      offer(last(session.endDue()), () => this.lifecycle.end(session, 'disconnected'))
      offer(last(session.unloadDue()), () => this.lifecycle.runDueUnload(session))
    }
  }

  /** A response sets the token that was created for it as the browser's cookie. */
  deliver(user: User, newToken: string | undefined): void {
    if (newToken === undefined) return
    user.token = newToken
    this.#deliveredAt.set(newToken, this.time.now)
  }

  /** Replaces the browser's cookie, or removes it. */
  changeCookie(user: User, token: string | undefined): void {
    user.token = token
  }

  /** The session that the browser's cookie leads to. */
  sessionOf({ token }: User): Session | undefined {
    return token === undefined ? undefined : this.sessions.get(token)
  }

  /** The session in which a user's page is open. */
  sessionWithPage(tokens: readonly string[], id: string): Session | undefined {
    return tokens.map(token => this.sessions.get(token)).find(session => session?.pages.get(id)?.entry)
  }

  /** Two responses at the same time may be delivered in either order. Records that this token was delivered last. */
  noteLastDelivered(user: User, newToken: string): void {
    const at = this.#deliveredAt.get(newToken)
    if (at !== undefined && user.token !== undefined && at === this.#deliveredAt.get(user.token))
      user.token = newToken
  }
}
