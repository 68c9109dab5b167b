import { randomBytes } from 'node:crypto'
import type { Departure } from '../../sessions/engine.js'
import type { Clock } from '../../util/clock.js'
import type { Part } from './part.js'
import { type Announced, DEAD, delays, PORTION } from './protocol.js'

/** What is announced, and who hears of the answers. */
export interface Announcer {
  readonly secret: Buffer
  readonly departure: Departure
  readonly clock: Clock
  /** What this node holds in the shard. */
  readonly own: readonly Part[]
  /** Redis knows that the node is there. */
  began(epoch: string, secret: string): void
  announced(part: Part, answer: Announced): void
}

/**
 * Tells a shard that this node is there, and all that it holds in it, until Redis knows that, and no more than that.
 * @param run runs `scripts.announce`
 */
export async function announce(
  announcer: Announcer,
  run: (stage: 'begin' | 'hold' | 'end', ...args: string[]) => Promise<unknown[]>,
): Promise<void> {
  const { secret, departure, clock, own } = announcer
  const proposal = randomBytes(9).toString('base64url')
  const begun = await run('begin', proposal, secret.toString('base64url'), String(DEAD))
  const [epoch, shared, lapsed] = begun as [string, string, number]
  announcer.began(epoch, shared)
  for (let i = 0; i < own.length; i += PORTION) {
    const portion = own.slice(i, i + PORTION)
    const now = clock.now()
    const held = portion.map(part => JSON.stringify([...wordsOf(part, now), lapsed]))
    const answers = (await run('hold', ...delays(departure), epoch, ...held)) as Announced[]
    for (const [index, part] of portion.entries()) announcer.announced(part, answers[index] as Announced)
  }
  for (let left = 1; left > 0; )
    [left] = (await run('end', ...delays(departure), String(PORTION))) as [number]
}

function wordsOf(part: Part, now: number): unknown[] {
  return [
    part.key,
    part.shared,
    part.createdAt,
    part.load,
    part.epoch,
    part.pages,
    part.navigations,
    part.requests,
    part.isUnloaded,
    part.hadPage,
    part.leftAt === undefined ? -1 : Math.ceil(now - part.leftAt),
  ]
}
