import { GradioStateError, invalid } from '../errors.js'

/** What {@link Scopes} needs to know about a scope. */
interface Scope {
  readonly presence: { readonly entryCount: number; readonly pendingEntries: number }
  /** See `Session.finished`. */
  readonly finished: Promise<void> | undefined
}

/** The scopes of one session: the usable ones, and the ended ones whose callbacks are running. */
export class Scopes<S extends Scope> {
  /** Those that have been closed the longest come first. */
  readonly #usable = new Set<S>()
  readonly #ending = new Set<S>()

  get usable(): readonly S[] {
    return [...this.#usable]
  }

  get all(): readonly S[] {
    return [...this.#usable, ...this.#ending]
  }

  add(scope: S): void {
    this.#usable.add(scope)
  }

  /** Must be called when a scope has closed. */
  closed(scope: S): void {
    if (this.#usable.delete(scope)) this.#usable.add(scope)
  }

  /** The scope has ended. Its callbacks run until {@link forget}. */
  end(scope: S): void {
    this.#usable.delete(scope)
    this.#ending.add(scope)
  }

  forget(scope: S): void {
    this.#ending.delete(scope)
  }

  /** Resolves when the callbacks of all scopes that have ended have settled; `undefined` if none is running. */
  get finished(): Promise<unknown> | undefined {
    if (this.#ending.size === 0) return undefined
    return Promise.all([...this.#ending].map(scope => scope.finished))
  }

  /** Like {@link finished}, but also waits for scopes that end in the meantime. */
  async allFinished(): Promise<void> {
    while (this.#ending.size > 0) await this.finished
  }

  /**
   * Picks the scope to evict before a new one starts: the one that has been closed the longest; `undefined` if there is room.
   * @throws GradioStateError `TOO_MANY_SCOPES` when none can be evicted
   */
  scopeToEvict(maxScopes: number): S | undefined {
    if (this.#usable.size < maxScopes) return undefined
    const oldest = this.usable.find(
      ({ presence }) => presence.entryCount === 0 && presence.pendingEntries === 0,
    )
    if (oldest === undefined)
      throw tooManyScopes(`the session has ${maxScopes} (maxScopes), all of which are open`)
    // As for sessions: evicted scopes whose callbacks hang still use memory.
    if (this.#ending.size >= maxScopes) {
      throw tooManyScopes(
        `the session has ${maxScopes} (maxScopes), and the callbacks of as many that have ended are still running`,
      )
    }
    return oldest
  }
}

/** Separates a session's token from the key of a scope. No token contains it. */
const SEPARATOR = '/'
const MAX_KEY_LENGTH = 256

/** Returns the key that was given to `scoped()`. @throws GradioStateError `OPTION_INVALID` */
export function checkScopeKey(key: string): string {
  const isKey = typeof key === 'string' && key !== '' && key.length <= MAX_KEY_LENGTH
  // Half of a surrogate pair would become another character in Redis.
  if (!isKey || /\p{Surrogate}/u.test(key))
    throw invalid('the key given to scoped()', `a string of 1 to ${MAX_KEY_LENGTH} characters`, key)
  return key
}

/** The token of a session's scope. */
export function scopeToken(token: string, key: string): string {
  return token + SEPARATOR + key
}

/** The key in the token of a scope. */
export function scopeKey(token: string): string {
  return token.slice(token.indexOf(SEPARATOR) + 1)
}

/** The token of the session that a scope belongs to; `undefined` if the token isn't that of a scope. */
export function parentToken(token: string): string | undefined {
  const end = token.indexOf(SEPARATOR)
  return end < 0 ? undefined : token.slice(0, end)
}

export function tooManyScopes(found: string): GradioStateError {
  return new GradioStateError(
    'TOO_MANY_SCOPES',
    `Expected room for a new scope, but ${found}. Try again later, end scopes that are no longer needed, or raise that limit.`,
  )
}
