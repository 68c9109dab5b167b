import type { FileCache } from '../files/cache.js'
import type { Identity } from '../identity/identity.js'
import type { Config } from '../options.js'
import type { Sessions } from '../sessions/sessions.js'
import type { Base } from './file-access.js'

/** What all requests of one instance share. */
export interface InstanceParts {
  readonly config: Config
  readonly sessions: Sessions
  readonly cache: FileCache
  readonly identity: Identity
  /** Where a request last saw the routes. */
  readonly base: Base
}
