import { setImmediate as turn } from 'node:timers/promises'
import type { RedisClient } from '../../../lib/cluster/redis/index.ts'
import { RedisCoordinator } from '../../../lib/cluster/redis/redis-coordinator.ts'
import type { Coordinator } from '../../../lib/sessions/coordinator.ts'
import { steppedClock } from '../../../lib/testing/fake-clock.ts'
import type { FakeClock } from '../../../lib/testing/index.ts'
import type { Clock } from '../../../lib/util/clock.ts'
import type { StillRedisServer } from './redis-server.ts'

/** A fake clock that also sets the time of a Redis. */
export interface RedisClock extends FakeClock {
  /** A coordinator on that Redis. Its heartbeats are sent, and aren't counted in `timers` of this clock. */
  coordinator(client: RedisClient, prefix: string): Coordinator
  /** How many scripts were called so far, by all nodes. */
  readonly calls: number
  /** Waits until no command or reply is in flight. `advance` does so before each step, and after. */
  rest(): Promise<void>
}

/** Like {@link steppedClock}, but waits for Redis too. */
export function redisClock(server: StillRedisServer): RedisClock {
  const wall = server.time
  /** How many timers of coordinators are set. */
  let hidden = 0
  const traffic = new Traffic()
  const clock = steppedClock({
    wall,
    rest: () => traffic.rest(),
    // Redis has a resolution of whole milliseconds: a deadline at a fraction of one must not be early there because of rounding.
    moved(now) {
      server.time = wall + Math.floor(now + 1e-6)
    },
  })
  const own: Clock = {
    now: clock.now,
    wall: clock.wall,
    setTimer(run, ms) {
      let isSet = true
      hidden++
      const over = () => {
        if (isSet) hidden--
        isSet = false
      }
      const cancel = clock.setTimer(() => {
        over()
        run()
      }, ms)
      return () => {
        over()
        cancel()
      }
    },
  }
  return {
    ...{ now: clock.now, wall: clock.wall, setTimer: clock.setTimer, advance: clock.advance },
    get timers() {
      return clock.timers - hidden
    },
    get calls() {
      return traffic.calls
    },
    rest: () => traffic.rest(),
    coordinator(client, prefix) {
      const watched = traffic.watched(client)
      const coordinator = new RedisCoordinator(prefix, async () => ({ client: watched, isOwn: false }))
      const connect = coordinator.connect.bind(coordinator)
      coordinator.connect = (context, events) => {
        return connect({ ...context, clock: own }, events)
      }
      return coordinator
    },
  }
}

/** The commands and replies in flight between this process and Redis. */
class Traffic {
  readonly #inFlight = new Set<Promise<unknown>>()
  readonly #listening = new Set<RedisClient>()
  /** How many commands were started, and how many at the last time when none was in flight. */
  #begun = 0
  #restedAt = 0
  calls = 0

  /** The same client, with its commands observed. */
  watched(client: RedisClient): RedisClient {
    const called = <T>(answer: Promise<T>): Promise<T> => {
      this.calls++
      return note(answer)
    }
    const note = <T>(answer: Promise<T>): Promise<T> => {
      this.#begun++
      const settled = answer.then(
        () => {},
        () => {},
      )
      this.#inFlight.add(settled)
      void settled.then(() => this.#inFlight.delete(settled))
      return answer
    }
    return {
      get isOpen() {
        return client.isOpen
      },
      get isReady() {
        return client.isReady
      },
      connect: () => note(client.connect()),
      duplicate: () => {
        const other = client.duplicate()
        this.#listening.add(other)
        return this.watched(other)
      },
      destroy: () => {
        this.#listening.delete(client)
        client.destroy?.()
      },
      eval: (...asked) => called(client.eval(...asked)),
      evalSha: (...asked) => called(client.evalSha(...asked)),
      subscribe: (...asked) => note(client.subscribe(...asked)),
      unsubscribe: channel => note(client.unsubscribe(channel)),
      on: (...what) => client.on(...what),
      off: (...what) => client.off(...what),
    }
  }

  async rest(): Promise<void> {
    await turn()
    while (this.#begun !== this.#restedAt || this.#inFlight.size > 0) {
      const seen = this.#begun
      while (this.#inFlight.size > 0) await Promise.all(this.#inFlight)
      // Messages published meanwhile arrive before the reply to this.
      await Promise.all([...this.#listening].map(ping))
      await turn()
      await turn()
      if (this.#inFlight.size === 0) this.#restedAt = seen
    }
  }
}

async function ping(client: RedisClient): Promise<void> {
  if (client.isReady) await (client as RedisClient & { ping(): Promise<unknown> }).ping().catch(() => {})
}
