import type { Store } from 'express-session'

/** The recorded calls of a store. */
export interface StoreCalls {
  /** The names of the calls since the last time. */
  take(): string[]
  /** How many calls have no answer yet. */
  readonly pending: number
}

/** Records the calls that reach `store` from outside. Has to be called before any other code gets the store. */
export function recordCalls(store: Store): StoreCalls {
  const names: string[] = []
  let pending = 0
  const methods = store as unknown as Record<string, ((...args: unknown[]) => unknown) | undefined>
  for (const name of ['get', 'set', 'touch', 'destroy'] as const) {
    const method = methods[name]
    if (method === undefined) continue
    methods[name] = (...args) => {
      names.push(name)
      const done = args.at(-1)
      if (typeof done !== 'function') return method.apply(store, args)
      pending++
      let isAnswered = false
      return method.call(store, ...args.slice(0, -1), (...answer: unknown[]) => {
        if (!isAnswered) pending--
        isAnswered = true
        done(...answer)
      })
    }
  }
  return {
    take: () => names.splice(0),
    get pending() {
      return pending
    },
  }
}
