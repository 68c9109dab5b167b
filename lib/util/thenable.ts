// Promises are most of the work of a storm, the more so as an AsyncLocalStorage in use adds hooks to each: what can be
// done at once is done without any.

/** Whether something has to be waited for. */
export function isThenable(value: unknown): value is PromiseLike<unknown> {
  if (typeof value !== 'object' || value === null) return false
  try {
    return typeof (value as { then?: unknown }).then === 'function'
  } catch {
    // Nobody could wait for it.
    return false
  }
}

/** Runs `next` when `before` is over: at once, unless that is a promise. A failed one is passed on. */
export function after<T, R>(before: T | Promise<T>, next: (value: T) => R | Promise<R>): R | Promise<R> {
  return before instanceof Promise ? before.then(next) : next(before)
}
