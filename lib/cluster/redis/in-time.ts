import type { Clock } from '../../util/clock.js'
import { away } from './connection.js'

/** The answer of Redis. One that takes too long is taken for failed: requests wait for it. */
export function inTime<T>(clock: Clock, answer: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    let cancel = clock.setTimer(() => {
      // After a stall of this process, timers come before what the sockets have brought meanwhile.
      cancel = clock.setTimer(() => reject(away()), LAST_CHANCE)
    }, LONGEST_ANSWER)
    answer.then(resolve, error => reject(away(error))).finally(() => cancel())
  })
}

/** Resolves `over` after so many milliseconds, or when it is ended. */
export function pause(clock: Clock, ms: number): { readonly over: Promise<void>; end(): void } {
  let end = () => {}
  const over = new Promise<void>(resolve => {
    const cancel = clock.setTimer(resolve, ms)
    end = () => {
      cancel()
      resolve()
    }
  })
  return { over, end }
}

const LONGEST_ANSWER = 2_000
const LAST_CHANCE = 100
