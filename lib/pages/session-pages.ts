import { GradioStateError } from '../errors.js'
import type { EndReason } from '../sessions/engine.js'
import type { Session } from '../sessions/session.js'
import { Page, type PageSet, pagesOf } from './page.js'

/** The page of that id in a session, which is new if need be. */
export function takePage(session: Session, id: string): Page {
  const pages = pagesOf(session)
  const known = pages?.find(id)
  if (known !== undefined) return known
  const page = new Page(id, session)
  if (pages instanceof SeveralPages) pages.add(page)
  else session.audience = pages === undefined ? page : new SeveralPages([pages as Page, page])
  return page
}

/** @throws GradioStateError `TOO_MANY_PAGES` */
export function checkRoom(session: Session | undefined): void {
  const pages = pagesOf(session)
  if (!(pages instanceof SeveralPages) || pages.size < MOST_PAGES) return
  throw new GradioStateError(
    'TOO_MANY_PAGES',
    `Expected at most ${MOST_PAGES} pages in a session, got one more.`,
  )
}

/** The pages of a session that has had more than one at a time. */
class SeveralPages implements PageSet {
  readonly #pages: Map<string, Page>

  constructor(pages: readonly Page[]) {
    this.#pages = new Map(pages.map(page => [page.id, page]))
  }

  get size(): number {
    return this.#pages.size
  }

  find(id: string): Page | undefined {
    return this.#pages.get(id)
  }

  add(page: Page): void {
    this.#pages.set(page.id, page)
  }

  without(page: Page): PageSet | undefined {
    this.#pages.delete(page.id)
    return this.#pages.size > 0 ? this : undefined
  }

  part(reason: EndReason): void {
    for (const page of this.#pages.values()) page.part(reason)
  }

  /** All pages of a browser have the same cookie. */
  renew(): boolean {
    return [...this.#pages.values()].some(page => page.renew())
  }
}

const MOST_PAGES = 1_000
