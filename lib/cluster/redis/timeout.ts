import type { Clock } from '../../util/clock.js'
import { unavailable } from './connection.js'

/** Rejects if Redis doesn't answer in time, since requests wait for the answer. */
export function withTimeout<T>(clock: Clock, answer: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    let cancel = clock.setTimer(() => {
      // After a stall of this process, timers fire before the sockets are read: the answer may already be there.
      cancel = clock.setTimer(() => reject(unavailable()), LATE_ANSWER)
    }, ANSWER_TIMEOUT)
    answer.then(resolve, error => reject(unavailable(error))).finally(() => cancel())
  })
}

/** Resolves `over` after `ms` milliseconds, or when `end()` is called. */
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

const ANSWER_TIMEOUT = 2_000
const LATE_ANSWER = 100
