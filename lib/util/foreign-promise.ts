// A function of the app may return any kind of promise, or an object that only looks like one: its `then` may be a getter that throws
// (as that of a revoked Proxy), may throw itself, or call back twice or never.

import { types } from 'node:util'

/** Whether it may be a promise. Doesn't read `then`, which may throw: resolving a promise with the value does that safely. */
export function mayBePromise(value: unknown): value is object {
  return (typeof value === 'object' && value !== null) || typeof value === 'function'
}

/** Settles as `value` does. Unlike `Promise.resolve`, also calls an own `then` of a promise. */
export function settlementOf(value: object): Promise<unknown> {
  neglect(value)
  return new Promise(resolve => resolve(value))
}

/** Marks a promise as handled: an unhandled rejection would crash the process. */
export function neglect(value: unknown): void {
  if (!types.isPromise(value)) return
  try {
    // The promise's own `then` may ignore the rejection handler.
    void Promise.prototype.then.call(value, undefined, () => {})
  } catch {
    // `then` of a subclass whose constructor throws.
  }
}
