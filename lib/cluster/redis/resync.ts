import { randomBytes } from 'node:crypto'
import type { Share } from '../../sessions/coordinator.js'
import type { Clock } from '../../util/clock.js'
import { DEAD, delay, type Held, PORTION } from './protocol.js'
import type { SessionLink } from './session-links.js'

/** What a node tells a shard of itself, and who hears the answers. */
export interface ResyncSite {
  readonly clock: Clock
  readonly secret: Buffer
  /** How long after this node is gone its sessions are unloaded and end, for the scripts. */
  readonly delays: readonly [string, string]
  /** What this node keeps in the shard. @param isRest only of sessions about which something was not told since the last call */
  own(isRest: boolean): readonly (readonly [Share, SessionLink])[]
  /** Redis knows that the node is there. */
  began(epoch: string, secret: string): void
  held(share: Share, link: SessionLink, answer: Held): void
}

/**
 * Tells a shard that this node is there, and what it keeps in it, until Redis knows that, and no more than that.
 * @param run runs `scripts.resync`
 */
export async function resync(
  site: ResyncSite,
  run: (stage: 'begin' | 'hold' | 'end', ...args: string[]) => Promise<unknown[]>,
): Promise<void> {
  const { clock, secret, delays } = site
  const proposal = randomBytes(9).toString('base64url')
  const begun = await run('begin', proposal, secret.toString('base64url'), String(DEAD))
  const [epoch, shared, lapsed] = begun as [string, string, number]
  site.began(epoch, shared)
  const hold = async (own: ReturnType<ResyncSite['own']>) => {
    for (let i = 0; i < own.length; i += PORTION) {
      const portion = own.slice(i, i + PORTION)
      const words = portion.map(([share, link]) =>
        JSON.stringify(wordsOf(share, link, epoch, lapsed === 1, clock)),
      )
      const answers = (await run('hold', ...delays, ...words)) as Held[]
      for (const [index, [share, link]] of portion.entries()) site.held(share, link, answers[index] as Held)
    }
  }
  await hold(site.own(false))
  for (let left = 1; left > 0; ) [left] = (await run('end', ...delays, String(PORTION))) as [number]
  // Last, so that nothing can be missed after it.
  for (let rest = site.own(true); rest.length > 0; rest = site.own(true)) await hold(rest)
}

function wordsOf(share: Share, link: SessionLink, epoch: string, isLapsed: boolean, clock: Clock): unknown[] {
  const { createdAt, load, phase, keepsLoaded, keepsState, endIn, reason, hadPage, everHadPage } = share
  return [
    link.key,
    link.clusterId,
    createdAt,
    load,
    link.epoch !== '',
    link.epoch === epoch,
    isLapsed,
    phase === 'unloaded',
    keepsLoaded,
    keepsState,
    delay(endIn),
    reason,
    hadPage,
    everHadPage,
    share.navigations,
    share.expected.map(at => delay(at - clock.now())),
    share.pages,
  ]
}
