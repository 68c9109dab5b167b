import { invalid } from '../errors.js'
import { flag, known } from '../parse.js'
import type { HookOptions } from '../types.js'

type Hook<E> = (event: E) => unknown

/** The hooks of one event. */
export class HookSet<E> {
  readonly #method: string
  readonly #ofSessions = new Set<Hook<E>>()
  readonly #ofScopes = new Set<Hook<E>>()

  /** @param method the method that adds hooks, for messages */
  constructor(method: string) {
    this.#method = method
  }

  /** The hooks to run for a session or scope. */
  of({ parent }: { readonly parent?: unknown }): ReadonlySet<Hook<E>> {
    return parent === undefined ? this.#ofSessions : this.#ofScopes
  }

  /** @returns a function that removes only this hook, even if the same function was added twice */
  add(hook: Hook<E>, options: HookOptions = {}): () => void {
    checkFunction(this.#method, hook)
    known(`the options of ${this.#method}()`, options, { scoped: true })
    const sets = flag('scoped', options.scoped ?? false)
      ? [this.#ofSessions, this.#ofScopes]
      : [this.#ofSessions]
    const added = (event: E) => hook(event)
    for (const set of sets) set.add(added)
    return () => {
      for (const set of sets) set.delete(added)
    }
  }
}

/** Throws unless the argument of a method is a function. */
export function checkFunction<T>(method: string, value: T): T {
  if (typeof value !== 'function') throw invalid(`the argument of ${method}()`, 'a function', value)
  return value
}
