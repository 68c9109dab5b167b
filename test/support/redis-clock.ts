import { setImmediate as turn } from 'node:timers/promises'
import { type RedisClient, redis } from '../../lib/cluster/redis/index.ts'
import { RedisCoordinator } from '../../lib/cluster/redis/next/redis-coordinator.ts'
import type { Engine } from '../../lib/index.ts'
import { duration } from '../../lib/parse.ts'
import type { Coordinator } from '../../lib/sessions/coordinator.ts'
import type { FakeClock } from '../../lib/testing/index.ts'
import type { Clock } from '../../lib/util/clock.ts'
import type { StillRedisServer } from './redis-server.ts'

/** A fake clock that the time of a Redis goes by, too. */
export interface RedisClock extends FakeClock {
  /** An engine on that Redis. Its signs of life are no `timers` of this clock, and are given all the same. */
  engine(client: RedisClient, prefix: string): Engine
  /** A coordinator on that Redis, whose signs of life are no `timers` either. */
  coordinator(client: RedisClient, prefix: string): Coordinator
  /** How many scripts were called so far, by all engines. */
  readonly calls: number
  /** Waits until nothing is on its way to Redis or from it. `advance` does so before each step, and after. */
  rest(): Promise<void>
}

/** Goes from timer to timer as `fakeClock()` does; what that sets off in Redis has happened before it goes further. */
export function redisClock(server: StillRedisServer): RedisClock {
  const wall = server.time
  const timers = new Set<{ readonly due: number; readonly run: () => void }>()
  const ofEngines = new Set<() => void>()
  const traffic = new Traffic()
  let now = 0

  function earliest(until: number) {
    let found: { readonly due: number; readonly run: () => void } | undefined
    for (const timer of timers) if (timer.due <= until && !(found && found.due <= timer.due)) found = timer
    return found
  }

  function go(to: number): void {
    if (to <= now) return
    now = to
    // Redis knows whole milliseconds: what is due at a fraction of one here must not be early there by a rounding.
    server.time = wall + Math.floor(now + 1e-6)
  }

  const setTimer: Clock['setTimer'] = (run, ms) => {
    const timer = { due: now + Math.max(ms, 0), run }
    timers.add(timer)
    return () => {
      timers.delete(timer)
      ofEngines.delete(run)
    }
  }

  const clock: RedisClock = {
    now: () => now,
    wall: () => wall + now,
    setTimer,
    async advance(time) {
      const until = now + duration('the time to advance', time, { from: 0, to: Number.MAX_SAFE_INTEGER })
      await traffic.rest()
      for (let timer = earliest(until); timer !== undefined; timer = earliest(until)) {
        timers.delete(timer)
        ofEngines.delete(timer.run)
        go(timer.due)
        timer.run()
        await traffic.rest()
      }
      go(until)
    },
    get timers() {
      return timers.size - ofEngines.size
    },
    get calls() {
      return traffic.calls
    },
    rest: () => traffic.rest(),
    engine(client, prefix) {
      const engine = redis({ client: traffic.watched(client), prefix })
      const start = engine.start.bind(engine)
      engine.start = (events, context) => start(events, { ...context, clock: own })
      return engine
    },
    coordinator(client, prefix) {
      const watched = traffic.watched(client)
      const coordinator = new RedisCoordinator(prefix, async () => ({ client: watched, isOwn: false }))
      const connect = coordinator.connect.bind(coordinator)
      coordinator.connect = (context, events) => {
        const { unloadDelay, gracePeriod } = context
        return connect({ clock: own, unloadDelay, gracePeriod, shares: () => context.shares() }, events)
      }
      return coordinator
    },
  }
  const own: Clock = {
    now: clock.now,
    wall: clock.wall,
    setTimer(run, ms) {
      // One for each timer, though they run the same.
      const once = () => run()
      ofEngines.add(once)
      return setTimer(once, ms)
    },
  }
  return clock
}

/** What is on its way between this process and Redis. */
class Traffic {
  readonly #inFlight = new Set<Promise<unknown>>()
  readonly #listening = new Set<RedisClient>()
  /** How many commands were begun, and how many when all was last at rest. */
  #begun = 0
  #restedAt = 0
  calls = 0

  /** The same client, whose commands are seen here. */
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
      // What was published meanwhile comes before the answer to this.
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
