import { AsyncLocalStorage, AsyncResource } from 'node:async_hooks'

/**
 * The async context in which an instance was made. What it does by itself runs in here, and so do the functions of the app that it
 * calls: a timer, a socket or an answer of Redis would have them run in the context of whichever request set it up, and what
 * the app keeps in an `AsyncLocalStorage` would tell of another user.
 */
export class OwnContext {
  readonly #enter = AsyncLocalStorage.snapshot()

  /**
   * Runs `work` in this context.
   * @param call stands for the functions of the app that it calls: from what these do, the context has to be entered anew
   */
  run<T>(work: () => T, call: object = this): T {
    // To enter is dear (0.3 µs in Node 20), and most calls come from within: a timer enters once for all that is due.
    if (underWay.getStore() !== this) {
      // `AsyncLocalStorage.run` notes its value on the resource that is entered (Node.js before 24), so an app that is in here
      // and calls back would find its own value again: each entry has a resource of its own.
      const resource = this.#enter(() => new AsyncResource('gradio-state'))
      return resource.runInAsyncScope(() => underWay.run(call, work))
    }
    return call === this ? work() : underWay.run(call, work)
  }
}

/** The call of the app that the present code comes from, if any. */
export function presentCall(): object | undefined {
  return underWay.getStore()
}

/** Runs a function of the app where it is called, as `call`. */
export function runAs<T>(call: object, work: () => T): T {
  return underWay.run(call, work)
}

/** One for all instances: Node 20 copies each that was ever used into every promise, also when its owner is long gone. */
const underWay = new AsyncLocalStorage<object>()
