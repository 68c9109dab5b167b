import { randomBytes } from 'node:crypto'
import type { Share } from '../../sessions/coordinator.js'
import type { Clock } from '../../util/clock.js'
import { otherFormat, RECORD_FORMAT } from './agreement.js'
import { BATCH_SIZE, DEAD_AFTER, delay, type ResyncAnswer } from './protocol.js'
import type { SessionLink } from './session-links.js'

/** What a resync needs from its shard. */
export interface ResyncContext {
  readonly clock: Clock
  readonly secret: Buffer
  /** The delays after which the sessions of this node unload and end if it crashes, for the scripts. */
  readonly delays: readonly [string, string]
  /** This node's shares in the shard. @param onlyDropped only for sessions with a command that was dropped since the last call */
  shares(onlyDropped: boolean): readonly (readonly [Share, SessionLink])[]
  /** This node's options, see {@link Agreement}. */
  readonly options: string
  /** Redis has registered the node. @param others the options of the other nodes */
  begun(epoch: string, secret: string, others: readonly string[]): void
  resynced(share: Share, link: SessionLink, answer: ResyncAnswer): void
}

/**
 * Registers this node with a shard, and sends its shares until Redis has exactly these.
 * @param run runs `scripts.resync`
 */
export async function resync(
  context: ResyncContext,
  run: (stage: 'begin' | 'shares' | 'end', ...args: string[]) => Promise<unknown[]>,
): Promise<void> {
  const { clock, secret, delays, options } = context
  const proposal = randomBytes(9).toString('base64url')
  const ownSecret = secret.toString('base64url')
  const begun = await run('begin', proposal, ownSecret, String(DEAD_AFTER), RECORD_FORMAT, options)
  if (begun[0] === 'FORMAT') throw otherFormat(String(begun[1]))
  const [, epoch, clusterSecret, lapsed, ...others] = begun as ['OK', string, string, number, ...string[]]
  context.begun(epoch, clusterSecret, others)
  const send = async (shares: ReturnType<ResyncContext['shares']>) => {
    for (let i = 0; i < shares.length; i += BATCH_SIZE) {
      const portion = shares.slice(i, i + BATCH_SIZE)
      const args = portion.map(([share, link]) =>
        JSON.stringify(shareArgs(share, link, epoch, lapsed === 1, clock)),
      )
      const answers = (await run('shares', ...delays, ...args)) as ResyncAnswer[]
      for (const [index, [share, link]] of portion.entries())
        context.resynced(share, link, answers[index] as ResyncAnswer)
    }
  }
  await send(context.shares(false))
  for (let left = 1; left > 0; ) [left] = (await run('end', ...delays, String(BATCH_SIZE))) as [number]
  // Commands may have been dropped in the meantime: the shares of their sessions are sent again, until there are none.
  for (let rest = context.shares(true); rest.length > 0; rest = context.shares(true)) await send(rest)
}

function shareArgs(
  share: Share,
  link: SessionLink,
  epoch: string,
  isLapsed: boolean,
  clock: Clock,
): unknown[] {
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
    link.scope,
  ]
}
