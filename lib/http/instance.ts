import type { FileCache } from '../files/cache.js'
import type { Identity } from '../identity/identity.js'
import type { Config } from '../options.js'
import type { Sessions } from '../sessions/sessions.js'
import type { Exchanges } from './exchanges.js'
import type { Inspectors } from './inspector/inspectors.js'
import type { MountPaths } from './mount-paths.js'

/** Shared by all requests of one instance. */
export interface InstanceContext {
  readonly config: Config
  readonly sessions: Sessions
  readonly cache: FileCache
  readonly identity: Identity
  readonly mountPaths: MountPaths
  readonly exchanges: Exchanges
  readonly inspectors: Inspectors
}
