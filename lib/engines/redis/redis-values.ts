import { GradioStateError } from '../../errors.js'
import type { SharedValue, SharedValues, ValueClaim, Writing, Written } from '../shared-values.js'
import type { Answer } from './shard.js'

/** What the values need of their engine. */
export interface ValuesSite {
  /** Asks for the value of a session's life, which Redis may know by another id. */
  askOf(token: string, life: string, order: string, ...words: unknown[]): Promise<Answer>
  noteDue(token: string, ms: number): void
  claim(token: string, answer: Answer): ValueClaim
}

/** The shared values, in Redis. */
export class RedisValues implements SharedValues {
  readonly #site: ValuesSite

  constructor(site: ValuesSite) {
    this.#site = site
  }

  async read(token: string, life: string, name: string): Promise<SharedValue | undefined> {
    const [version, data] = await this.#ask(token, life, 'read', name)
    return version === undefined ? undefined : { name, version, data }
  }

  async write(token: string, life: string, name: string, data: string, how: Writing): Promise<Written> {
    const { timeToLive, over = -1, claimReplaced = false } = how
    const ttl = wholeOrNever(timeToLive)
    const [written, due, replaced] = await this.#ask(
      token,
      life,
      'write',
      name,
      data,
      ttl,
      over,
      claimReplaced,
    )
    this.#site.noteDue(token, due ?? -1)
    return {
      written: written === 1,
      replaced: replaced === undefined ? undefined : this.#site.claim(token, replaced),
    }
  }

  async touch(token: string, life: string, name: string, timeToLive: number): Promise<boolean> {
    const [isThere, due] = await this.#ask(token, life, 'touch', name, wholeOrNever(timeToLive))
    this.#site.noteDue(token, due)
    return isThere === 1
  }

  async delete(token: string, life: string, name: string): Promise<ValueClaim | undefined> {
    const [claim] = await this.#ask(token, life, 'delete', name)
    return claim === undefined ? undefined : this.#site.claim(token, claim)
  }

  async #ask(token: string, life: string, order: string, ...words: unknown[]): Promise<Answer> {
    const answer = await this.#site.askOf(token, life, order, ...words)
    if (answer[0] === 'ENDED') throw ended()
    return answer
  }
}

function wholeOrNever(ms: number): number {
  return ms === Number.POSITIVE_INFINITY ? -1 : Math.ceil(ms)
}

function ended(): GradioStateError {
  return new GradioStateError(
    'SESSION_ENDED',
    'Expected a session that lives, got one that has ended. The next request of its user begins a new one.',
  )
}
