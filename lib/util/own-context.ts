import { AsyncLocalStorage, AsyncResource } from 'node:async_hooks'

/**
 * The async context in which an instance was created. The instance's own work and the functions of the app that it calls run in it.
 * Otherwise timers, sockets and answers of Redis would run them in the context of the request that set these up, and the app's
 * `AsyncLocalStorage` would contain another user's data.
 */
export class OwnContext {
  readonly #enter = AsyncLocalStorage.snapshot()

  /**
   * Runs `work` in this context.
   * @param call identifies the call of the app's function. Code that this function starts has to enter the context anew
   */
  run<T>(work: () => T, call: object = this): T {
    // Entering takes 0.3 µs in Node 20, and most calls are nested: a timer enters once for all that is due.
    if (underWay.getStore() !== this) {
      // Before Node.js 24, `AsyncLocalStorage.run` stores its value on the current async resource. With a shared resource, an
      // app that is inside and calls back would get its own value again, so each entry gets a new resource.
      const resource = this.#enter(() => new AsyncResource('gradio-state'))
      return resource.runInAsyncScope(() => underWay.run(call, work))
    }
    return call === this ? work() : underWay.run(call, work)
  }
}

/** The call of the app's function that the current code runs in, if any. */
export function presentCall(): object | undefined {
  return underWay.getStore()
}

/** Runs a function of the app as `call`, in the current async context. */
export function runAs<T>(call: object, work: () => T): T {
  return underWay.run(call, work)
}

/** Shared by all instances: Node 20 copies each storage ever used into every promise, even when its owner is garbage. */
const underWay = new AsyncLocalStorage<object>()
