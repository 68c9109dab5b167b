import type { IncomingMessage } from 'node:http'
import { type Exchange, whenOver } from '../util/response-over.js'
import type { Deadlines } from '../util/scheduler.js'
import { StalledRequests } from './stalled-requests.js'
import { UnreadConnections } from './unread-connections.js'

/** Reports when exchanges are over, and ends those that would never be over. */
export class Exchanges {
  readonly #stalledRequests: StalledRequests
  readonly #unreadConnections: UnreadConnections

  constructor(deadlines: Deadlines) {
    this.#stalledRequests = new StalledRequests(deadlines)
    this.#unreadConnections = new UnreadConnections(deadlines)
  }

  /** Like the function of that name. */
  whenOver(exchange: Exchange & { readonly req: IncomingMessage }, listener: () => void): () => void {
    const unwatch = this.#stalledRequests.watch(exchange.req)
    const leave = this.#unreadConnections.enter(exchange)
    const forget = () => {
      unwatch()
      leave()
    }
    const remove = whenOver(exchange, () => {
      forget()
      listener()
    })
    return () => {
      forget()
      remove()
    }
  }
}
