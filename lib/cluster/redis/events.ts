import type { CoordinatorEvents, Share } from '../../sessions/coordinator.js'
import type { Reason } from '../../types.js'
import { recordDamaged } from './agreement.js'
import type { Claims } from './claims.js'
import type { Message, ResyncAnswer } from './protocol.js'
import type { SessionLink, SessionLinks } from './session-links.js'
import type { Shard } from './shard.js'

/** Turns messages of other nodes, and the answers of a resync, into the coordinator's events. */
export class EventDispatcher {
  readonly #context: { readonly events: CoordinatorEvents | undefined }
  readonly #links: SessionLinks
  readonly #claims: Claims

  constructor(
    context: { readonly events: CoordinatorEvents | undefined },
    links: SessionLinks,
    claims: Claims,
  ) {
    this.#context = context
    this.#links = links
    this.#claims = claims
  }

  /** Handles a message: its kind, the id and the version of the session, and arguments. For `damaged`, the key of the record. */
  message(shard: Shard, [what, clusterId, version, ...rest]: Message): void {
    if (what === 'due') shard.noteDue(0)
    if (what === 'damaged') this.#context.events?.problem(recordDamaged(String(clusterId)))
    const link = this.#links.byClusterId(String(clusterId))
    const { events } = this.#context
    if (link === undefined || events === undefined) return
    const { id } = link
    const [first, second, third] = rest
    const isNew = Number(version) > link.version
    switch (what) {
      case 'ended':
        this.#ended(link, first as Reason)
        break
      case 'alias':
        this.#links.rename(link, String(first))
        break
      case 'loaded':
        if (isNew) {
          link.note(Number(version))
          events.loaded(id, Number(first), second === 1, third === 1)
        } else if (third === 1) events.runLoadHooks(id, Number(first))
        break
      case 'unloaded':
        if (isNew) events.unloaded(id, Number(first), second as Reason)
        break
      case 'expired':
        if (isNew) events.expired(id, Number(first) < 0 ? Number.POSITIVE_INFINITY : Number(first))
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

  /** Handles the answer to a share that was sent in a resync. */
  resynced(share: Share, link: SessionLink, shard: Shard, answer: ResyncAnswer): void {
    if (answer[0] === 'ended') {
      this.#ended(link, answer[1])
      return
    }
    const { events } = this.#context
    const [, clusterId, version, load, phase, hadPage, reason, isLoadedHere, due] = answer
    this.#links.rename(link, clusterId)
    link.epoch = shard.epoch
    link.note(Number(version))
    shard.noteDue(due)
    const isNewer = Number(load) > share.load
    // Other nodes considered this node dead, and have unloaded the session, or are about to.
    if (share.phase === 'loaded' && (phase !== 'l' || isNewer)) events?.unloaded(link.id, share.load, reason)
    if (phase === 'l' && isNewer) events?.loaded(link.id, Number(load), hadPage === 1, isLoadedHere === 1)
  }

  #ended(link: SessionLink, reason: Reason): void {
    if (link.isEnded) return
    this.#claims.forget(link)
    this.#context.events?.ended(link.id, reason)
  }
}
