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
