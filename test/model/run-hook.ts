/**
 * Runs a hook or callback, and returns what it returns.
 * @param finished is called when it has settled, or when its signal aborts: from then on, the library doesn't wait for it
 */
export function runHook(signal: AbortSignal, run: () => unknown, finished: () => void): unknown {
  signal.addEventListener('abort', finished, { once: true })
  let result: unknown
  try {
    result = run()
  } finally {
    if (!(result instanceof Promise)) finished()
  }
  if (result instanceof Promise) result.then(finished, finished)
  return result
}
