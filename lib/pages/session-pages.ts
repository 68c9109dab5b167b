import { GradioStateError } from '../errors.js'
import type { PageList, Session } from '../sessions/session.js'
import type { Reason } from '../types.js'
import { Page, type PageOwner } from './page.js'

/** The local pages of one session: those that are open, and those that have left recently. */
export class SessionPages implements PageList, PageOwner {
  readonly #session: Session
  readonly #pages = new Map<string, Page>()

  constructor(session: Session) {
    this.#session = session
  }

  /** @returns `undefined` for a session without pages */
  static of(session: Session | undefined): SessionPages | undefined {
    return session?.pageList instanceof SessionPages ? session.pageList : undefined
  }

  /** The page with that id in a session; a new one if there is none. */
  static findOrAdd(session: Session, id: string): Page {
    const pages = SessionPages.of(session) ?? new SessionPages(session)
    session.pageList = pages
    return pages.find(id) ?? pages.#add(id)
  }

  find(id: string): Page | undefined {
    return this.#pages.get(id)
  }

  /** @throws GradioStateError `TOO_MANY_PAGES` */
  expectRoom(): void {
    if (this.#pages.size < MAX_PAGES) return
    throw new GradioStateError(
      'TOO_MANY_PAGES',
      `Expected at most ${MAX_PAGES} pages in a session, got one more.`,
    )
  }

  close(reason: Reason): void {
    for (const page of this.#pages.values()) page.close(reason)
  }

  renew(): boolean {
    // All pages of a browser have the same cookie, so one of them is enough.
    return [...this.#pages.values()].some(page => page.renew())
  }

  forget(page: Page): void {
    this.#pages.delete(page.id)
    if (this.#pages.size === 0) this.#session.pageList = undefined
  }

  #add(id: string): Page {
    const page = new Page(id, this.#session, this)
    this.#pages.set(id, page)
    return page
  }
}

const MAX_PAGES = 1_000
