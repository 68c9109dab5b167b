import type { RedisClient } from '../../../lib/cluster/redis/index.ts'
import { scripts } from '../../../lib/cluster/redis/scripts/index.ts'

/** A client of Redis, and its faults. */
export interface TroubledClient {
  readonly client: RedisClient
  /** Holds back the messages that nodes leave for each other in Redis, until the returned function is called. */
  holdMessages(): () => void
  /** Redis executes the current command, but its answer is lost; from then on it is unavailable, until the returned function is called. */
  cut(): () => void
}

export function troubledClient(inner: RedisClient): TroubledClient {
  const ready = new Set<(...args: unknown[]) => void>()
  let isCut = false
  let isHeld = false
  async function answer(run: () => Promise<unknown>, sha?: string): Promise<unknown> {
    if (isCut) throw new Error('The connection is cut')
    const answered = await run()
    if (isCut) throw new Error('The connection was cut')
    // The list stays in Redis until the node says how many messages it has received.
    if (isHeld && sha === scripts.beat.sha && Array.isArray(answered)) answered[4] = []
    return answered
  }
  const tellReady = () => {
    for (const listener of ready) listener()
  }
  return {
    client: {
      get isOpen() {
        return inner.isOpen
      },
      get isReady() {
        return inner.isReady && !isCut
      },
      connect: () => inner.connect(),
      duplicate: () => inner.duplicate(),
      destroy: () => inner.destroy?.(),
      eval: (...asked) => answer(() => inner.eval(...asked)),
      evalSha: (sha, options) => answer(() => inner.evalSha(sha, options), sha),
      subscribe: (...asked) => inner.subscribe(...asked),
      unsubscribe: channel => inner.unsubscribe(channel),
      on(event, listener) {
        if (event === 'ready') ready.add(listener)
        return inner.on(event, listener)
      },
      off(event, listener) {
        ready.delete(listener)
        return inner.off(event, listener)
      },
    },
    holdMessages() {
      isHeld = true
      return () => {
        isHeld = false
        tellReady()
      }
    },
    cut() {
      isCut = true
      return () => {
        isCut = false
        tellReady()
      }
    },
  }
}
