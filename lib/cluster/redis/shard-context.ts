import type { Share } from '../../sessions/coordinator.js'
import type { Clock } from '../../util/clock.js'
import type { AgreedOptions } from './agreement.js'
import type { Connection } from './connection.js'
import type { Message, ResyncAnswer } from './protocol.js'
import type { SessionLink } from './session-links.js'

/** What a shard needs from its coordinator. `Shard` is its class. */
export interface ShardContext<Shard> {
  readonly node: string
  readonly connection: Connection
  readonly clock: Clock
  readonly channel: string
  readonly secret: Buffer
  /** The delays after which the sessions of a crashed node unload and end, for the scripts. */
  readonly delays: readonly [string, string]
  /** This node's options, see {@link Agreement}. */
  readonly agreedOptions: AgreedOptions
  /** Redis has sent the options of the other nodes. */
  compareOptions(others: readonly string[]): void
  /** This node's shares in that shard. */
  shares(shard: Shard): (readonly [Share, SessionLink])[]
  /** Redis has registered this node, and has all its shares. */
  joined(shard: Shard): void
  /** Receives the answer to a share that was sent in a resync. */
  resynced(share: Share, link: SessionLink, shard: Shard, answer: ResyncAnswer): void
  message(shard: Shard, message: Message): void
  /** The shard's `dueAt` has become earlier. */
  wake(): void
  /** The shard's `beatAt` has changed. */
  setBeat(): void
  /** Emits an error to the app. */
  problem(error: Error): void
  /** The shard has become unavailable. */
  onUnavailable(shard: Shard, error: unknown): void
}
