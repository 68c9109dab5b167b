import type { Life, MaybePromise } from './engine.js'

/** Visitors whom a shared engine has yet to answer, and what happens to their sessions meanwhile. */
export class Arrivals {
  readonly #byToken = new Map<string, Waiting>()
  #fresh = 0

  /** How many sessions these visitors may begin. */
  get fresh(): number {
    return this.#fresh
  }

  get any(): boolean {
    return this.#byToken.size > 0
  }

  /** Whether there are any to the session of that token. */
  has(token: string): boolean {
    return this.#byToken.has(token)
  }

  /** Whether one of these visitors may begin the session of that token: then the others come to the same. */
  isFresh(token: string): boolean {
    return this.#byToken.get(token)?.isFresh ?? false
  }

  /**
   * Waits for the engine's answer.
   * @param isFresh whether the answer may begin a session
   * @param take is given the answer, and whether the life that it tells of has ended while it was on its way
   */
  async answered<T>(
    token: string,
    isFresh: boolean,
    answer: Promise<Life | undefined>,
    take: (life: Life | undefined, isOver: boolean) => MaybePromise<T>,
  ): Promise<T> {
    const waiting = this.#byToken.get(token) ?? { visitors: 0, isFresh: false, ended: new Set<string>() }
    this.#byToken.set(token, waiting)
    waiting.visitors++
    if (isFresh) this.#fresh++
    waiting.isFresh ||= isFresh
    try {
      const life = await answer
      return take(life, life !== undefined && waiting.ended.has(life.id))
    } finally {
      // The first answer begins the session, which is counted by itself from then on.
      if (waiting.isFresh) this.#fresh--
      waiting.isFresh = false
      if (--waiting.visitors === 0) this.#byToken.delete(token)
    }
  }

  /** A life has ended: an answer that was given before may still tell of it. */
  noteEnd(token: string, life: string): void {
    this.#byToken.get(token)?.ended.add(life)
  }
}

interface Waiting {
  visitors: number
  isFresh: boolean
  readonly ended: Set<string>
}
