import type { Manager } from '../core/manager.js'
import type { FileCache } from '../files/cache.js'
import type { Identity } from '../hosts/identity.js'
import type { Config } from '../options.js'
import type { Base } from './file-access.js'

/** What all requests of one instance share. */
export interface InstanceParts {
  readonly config: Config
  readonly manager: Manager
  readonly cache: FileCache
  readonly identity: Identity
  /** Where a request last saw the routes. */
  readonly base: Base
}
