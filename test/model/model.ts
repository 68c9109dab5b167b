// The rules once more, as plainly as can be said: one list of everything that is due, looked through from the start at
// each step, no cluster, no wheel, no promise. What the model says in its log, the library must do at the same
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
  /** The sessions whose last callbacks are under way. */
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
  /** When an answer brought the browser each of the tokens. */
  readonly #broughtAt = new Map<string, number>()

  constructor(settings: Settings, modes: Modes, users: readonly User[]) {
    this.settings = settings
    this.modes = modes
    this.users = users
  }

  #offerAll(offer: Offer): void {
    // What was due in the past, and had to wait, is due now.
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
      offer(last(session.unloadDue()), () => this.lifecycle.unloadWhile(session))
    }
  }

  /** An answer brings the browser the token that was made for it. */
  deliver(user: User, newToken: string | undefined): void {
    if (newToken === undefined) return
    user.token = newToken
    this.#broughtAt.set(newToken, this.time.now)
  }

  /** The browser's cookie is another one, or none. */
  changeCookie(user: User, token: string | undefined): void {
    user.token = token
  }

  /** The session that the browser's cookie leads to. */
  sessionOf({ token }: User): Session | undefined {
    return token === undefined ? undefined : this.sessions.get(token)
  }

  /** The session in which the page of a user is open. */
  sessionWithPage(tokens: readonly string[], id: string): Session | undefined {
    return tokens.map(token => this.sessions.get(token)).find(session => session?.pages.get(id)?.entry)
  }

  /** Of two answers that come in the same moment, either may be the last: it was that with this token. */
  noteLast(user: User, newToken: string): void {
    const at = this.#broughtAt.get(newToken)
    if (at !== undefined && user.token !== undefined && at === this.#broughtAt.get(user.token))
      user.token = newToken
  }
}
