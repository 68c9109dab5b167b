import { GradioStateError } from '../errors.js'
import type { PageList, Session } from '../sessions/session.js'
import type { Entry } from '../sessions/session-entry.js'
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

  /** The page with that id in a session; a new one if there is none. @throws GradioStateError `TOO_MANY_PAGES` */
  static findOrAdd(session: Session, id: string): Page {
    const pages = SessionPages.of(session) ?? new SessionPages(session)
    session.pageList = pages
    return pages.find(id) ?? pages.#add(id)
  }

  /** The pages that are open. */
  get open(): Page[] {
    return [...this.#pages.values()].filter(page => page.isOpen)
  }

  find(id: string): Page | undefined {
    return this.#pages.get(id)
  }

  /** Drops the record of a page that has left, if there is no room for another page. @throws GradioStateError `TOO_MANY_PAGES` if all are open */
  makeRoom(): void {
    if (this.#pages.size < MAX_PAGES) return
    const left = [...this.#pages.values()].find(page => !page.isOpen)
    if (left === undefined)
      throw new GradioStateError(
        'TOO_MANY_PAGES',
        `Expected at most ${MAX_PAGES} pages in a session, got one more.`,
      )
    left.forget()
  }

  /** The entries of the tab's open pages. */
  entriesOf(tab: string): Entry[] {
    return [...this.#pages.values()].flatMap(page => (page.tab === tab && page.entry) || [])
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
    this.makeRoom()
    const page = new Page(id, this.#session, this)
    this.#pages.set(id, page)
    return page
  }
}

/** How many pages are open, or have a record because they have just left. */
const MAX_PAGES = 100
