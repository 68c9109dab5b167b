import { hostname } from 'node:os'
import type { InstanceContext } from '../instance.js'
import { type Limit, ORDERS, type ProcessInfo, type Snapshot } from './data.js'
import { limit } from './limits.js'
import type { Describe } from './options.js'
import type { Recent } from './recent.js'
import { detailsOf, findSession } from './session-details.js'
import { type ListQuery, type Survey, survey } from './session-list.js'
import type { Moment } from './session-rows.js'
import { shorten } from './texts.js'

/** Reads everything that the page shows. */
export class Snapshots {
  readonly #context: InstanceContext
  readonly #recent: Recent
  readonly #describe: Describe | undefined

  constructor(context: InstanceContext, recent: Recent, describe: Describe | undefined) {
    this.#context = context
    this.#recent = recent
    this.#describe = describe
  }

  /** @param query `text`, `status`, `order` and `page` choose what is listed; `session` is the id of the one to show in detail */
  async read(query: URLSearchParams): Promise<Snapshot> {
    const { sessions, cache, config } = this.#context
    const moment = { now: sessions.deadlines.now, wall: config.clock.wall(), cache }
    const { list, counts, due, largest } = await survey(sessions.registry, moment, listQueryOf(query))
    return {
      process: this.#process(),
      counts,
      limits: this.#limits(counts.open + counts.waiting, largest),
      list,
      due,
      events: this.#recent.events,
      errors: this.#recent.errors,
      details: await this.#details(query.get('session'), moment),
    }
  }

  async #details(id: string | null, moment: Moment): Promise<Snapshot['details']> {
    if (id === null) return null
    const session = findSession(this.#context.sessions, id)
    return session === undefined ? null : detailsOf(session, moment, this.#context, this.#describe)
  }

  #process(): ProcessInfo {
    return {
      pid: process.pid,
      host: hostname(),
      node: process.version,
      uptime: process.uptime() * 1000,
      isShared: this.#context.sessions.isShared,
    }
  }

  #limits(sessions: number, largest: Survey['largest']): Limit[] {
    const { maxSessions, maxCacheBytes, maxSessionBytes, maxSessionFiles } = this.#context.config
    return [
      limit('Sessions', 'maxSessions', 'count', sessions, maxSessions),
      limit('All files', 'maxCacheBytes', 'bytes', this.#context.cache.bytes, maxCacheBytes),
      limit('Largest session', 'maxSessionBytes', 'bytes', largest.bytes, maxSessionBytes),
      limit('Most files of a session', 'maxSessionFiles', 'count', largest.files, maxSessionFiles),
    ]
  }
}

/** Anything that isn't valid is replaced by its default. */
function listQueryOf(query: URLSearchParams): ListQuery {
  const status = query.get('status')
  const page = Number(query.get('page'))
  return {
    text: shorten((query.get('text') ?? '').trim().toLowerCase(), MAX_SEARCH),
    status: status === 'open' || status === 'waiting' || status === 'ending' ? status : undefined,
    order: ORDERS.find(order => order === query.get('order')) ?? 'newest',
    page: Number.isSafeInteger(page) && page > 0 ? page : 0,
  }
}

/** In characters. */
const MAX_SEARCH = 100
