// What functions of the app give may be a promise of any make, or only look like one: its `then` may be a getter that throws
// (as of a revoked Proxy), throw itself, call back twice, or never.

import { types } from 'node:util'

/** Whether it may be a promise. Its `then` is not looked at: a promise does that once, and hears of it if that fails. */
export function mayBePromise(value: unknown): value is object {
  return (typeof value === 'object' && value !== null) || typeof value === 'function'
}

/** Settles as `value` does, whatever that is. `Promise.resolve` would take a promise as it is, with a `then` of its own. */
export function settlementOf(value: object): Promise<unknown> {
  neglect(value)
  return new Promise(resolve => resolve(value))
}

/** Lets nobody hear of a promise's rejection: unhandled, it would end the process. */
export function neglect(value: unknown): void {
  if (!types.isPromise(value)) return
  try {
    // Its own `then` may never ask for the rejection.
    void Promise.prototype.then.call(value, undefined, () => {})
  } catch {
    // A subclass that can't be constructed: then it can't be listened to.
  }
}
