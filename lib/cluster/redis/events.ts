import type { CoordinatorEvents, Share } from '../../sessions/coordinator.js'
import type { Reason } from '../../types.js'
import type { Claims } from './claims.js'
import type { Held, Message } from './protocol.js'
import type { SessionLink, SessionLinks } from './session-links.js'
import type { Shard } from './shard.js'

/** What this node hears of its sessions: from other nodes, and when it tells what it keeps after an outage. */
export class Events {
  readonly #site: { readonly events: CoordinatorEvents | undefined }
  readonly #links: SessionLinks
  readonly #claims: Claims

  constructor(site: { readonly events: CoordinatorEvents | undefined }, links: SessionLinks, claims: Claims) {
    this.#site = site
    this.#links = links
    this.#claims = claims
  }

  /** A message: what, the id and the version of the session, and more. */
  heard(shard: Shard, [what, clusterId, version, ...rest]: Message): void {
    if (what === 'due') shard.noteDue(0)
    const link = this.#links.byClusterId(String(clusterId))
    const { events } = this.#site
    if (link === undefined || events === undefined) return
    const { id } = link
    const [first, second, third] = rest
    const isNews = Number(version) > link.version
    switch (what) {
      case 'gone':
        this.#ended(link, first as Reason)
        break
      case 'alias':
        this.#links.rename(link, String(first))
        break
      case 'loaded':
        if (isNews) {
          link.note(Number(version))
          events.loaded(id, Number(first), second === 1, third === 1)
        } else if (third === 1) events.runLoadHooks(id, Number(first))
        break
      case 'unloaded':
        if (isNews) events.unloaded(id, Number(first), second as Reason)
        break
      case 'expired':
        if (isNews) events.expired(id, Number(first) < 0 ? Number.POSITIVE_INFINITY : Number(first))
        break
      case 'page':
        events.pageConnected(id, first === 1)
        break
      case 'moved':
        if (Number(version) > (link.pages.get(String(first)) ?? 0)) {
          link.pages.delete(String(first))
          events.pageMoved(id, String(first))
        }
        break
      case 'goodbye':
        events.goodbye(
          id,
          String(first),
          Number(second) < 0 ? undefined : Number(second),
          third === '' ? undefined : (third as 'within'),
        )
    }
  }

  /** The answer to a share that was told after an outage. */
  held(share: Share, link: SessionLink, shard: Shard, answer: Held): void {
    if (answer[0] === 'gone') {
      this.#ended(link, answer[1])
      return
    }
    const { events } = this.#site
    const [, clusterId, version, load, phase, hadPage, reason, isLoadedHere, due] = answer
    this.#links.rename(link, clusterId)
    link.epoch = shard.epoch
    link.note(Number(version))
    shard.noteDue(due)
    const isNewer = Number(load) > share.load
    // Others took what this node keeps for gone, and have unloaded it, or are about to.
    if (share.phase === 'loaded' && (phase !== 'l' || isNewer)) events?.unloaded(link.id, share.load, reason)
    if (phase === 'l' && isNewer) events?.loaded(link.id, Number(load), hadPage === 1, isLoadedHere === 1)
  }

  #ended(link: SessionLink, reason: Reason): void {
    if (link.isOver) return
    this.#claims.forget(link)
    this.#site.events?.ended(link.id, reason)
  }
}
