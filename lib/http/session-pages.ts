import type { Manager } from '../core/manager.js'
import type { Audience, Session } from '../core/session.js'
import type { EndReason } from '../engines/engine.js'
import { GradioStateError } from '../errors.js'
import { Page } from './page.js'

/** The pages of one session. Mostly there is one: a Map is made for the second. */
export class SessionPages implements Audience {
  readonly session: Session
  readonly manager: Manager
  #only: Page | undefined
  #all: Map<string, Page> | undefined

  constructor(session: Session, manager: Manager) {
    this.session = session
    this.manager = manager
  }

  /** Those of a session, if it ever had one. */
  static of(session: Session | undefined): SessionPages | undefined {
    return session?.audience as SessionPages | undefined
  }

  find(id: string): Page | undefined {
    if (this.#all !== undefined) return this.#all.get(id)
    return this.#only?.id === id ? this.#only : undefined
  }

  /** The page of that id, which is new if need be. */
  take(id: string): Page {
    return this.find(id) ?? this.#add(new Page(id, this))
  }

  /** A page that has left need not be remembered any more. */
  forget(page: Page): void {
    if (this.#only === page) this.#only = undefined
    this.#all?.delete(page.id)
  }

  /** @throws GradioStateError `TOO_MANY_PAGES` */
  checkRoom(): void {
    if (this.#all === undefined || this.#all.size < MOST_PAGES) return
    throw new GradioStateError(
      'TOO_MANY_PAGES',
      `Expected at most ${MOST_PAGES} pages in a session, got one more.`,
    )
  }

  part(reason: EndReason): void {
    for (const page of this.#pages) page.part(reason)
  }

  /** The engine knows of no visit here any more, so that this one's end does nothing there. */
  moved(id: string): void {
    this.find(id)?.leave()
  }

  goodbye(id: string, epoch: number | undefined): void {
    this.find(id)?.goodbye(epoch)
  }

  /** All pages of a browser have the same cookie. */
  renew(): void {
    for (const page of this.#pages) if (page.renew()) return
  }

  get #pages(): Iterable<Page> {
    if (this.#all !== undefined) return this.#all.values()
    return this.#only === undefined ? [] : [this.#only]
  }

  #add(page: Page): Page {
    if (this.#all !== undefined) {
      this.#all.set(page.id, page)
    } else if (this.#only === undefined) {
      this.#only = page
    } else {
      this.#all = new Map([this.#only, page].map(each => [each.id, each]))
      this.#only = undefined
    }
    return page
  }
}

const MOST_PAGES = 1_000
