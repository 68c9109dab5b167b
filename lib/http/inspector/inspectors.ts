import type { IncomingMessage } from 'node:http'
import type { RequestContext } from '../../identity/request-context.js'
import type { Sessions } from '../../sessions/sessions.js'
import { Recent } from './recent.js'

/** What the inspectors of one instance share. Most instances have none. */
export class Inspectors {
  readonly #sessions: Sessions
  readonly #paths = new Set<string>()
  #recent: Recent | undefined

  constructor(sessions: Sessions) {
    this.#sessions = sessions
  }

  /** The last events. They are recorded from the first call on. */
  get recent(): Recent {
    this.#recent ??= new Recent(this.#sessions)
    return this.#recent
  }

  /**
   * Records that an inspector responds at this path. Requests for it don't enter their user's session: otherwise an open inspector, which
   * polls for data, would keep its operator's session open. Must only be called for authorized requests, so that nobody else can add paths.
   */
  notePath(path: string): void {
    if (this.#paths.size < MAX_PATHS) this.#paths.add(path)
  }

  /** Whether a request is for an inspector that has responded at this path before. */
  has(req: IncomingMessage, context: RequestContext): boolean {
    return this.#paths.size > 0 && this.#paths.has(pathOf(req, context))
  }

  close(): void {
    this.#recent?.stop()
  }
}

/**
 * The path of a request, including the mount paths of routers, without a trailing slash: mounted middleware can't tell whether there is
 * one.
 */
export function pathOf({ url = '' }: IncomingMessage, { baseUrl = '' }: RequestContext): string {
  const [path = ''] = (baseUrl + url).split('?', 1)
  return path.replace(/\/+$/, '')
}

/** An inspector may be mounted on a path with parameters. */
const MAX_PATHS = 100
