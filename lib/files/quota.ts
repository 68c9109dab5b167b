import { type ErrorCode, GradioStateError } from '../errors.js'

/** Counts bytes against a limit, before they are written: what is counted may be on its way. */
export class Quota {
  readonly #limit: number
  readonly #code: ErrorCode
  readonly #what: string
  #used = 0

  /** @param what names the limit in the error */
  constructor(limit: number, code: ErrorCode, what: string) {
    this.#limit = limit
    this.#code = code
    this.#what = what
  }

  get used(): number {
    return this.#used
  }

  /** @throws GradioStateError when the bytes don't fit; then nothing is counted */
  reserve(bytes: number): void {
    if (this.#used + bytes > this.#limit) {
      throw new GradioStateError(
        this.#code,
        `Expected at most ${this.#limit} bytes (${this.#what}), got more. Delete files, or raise the limit.`,
      )
    }
    this.#used += bytes
  }

  /** Counts what is there already, whatever the limit. */
  add(bytes: number): void {
    this.#used += bytes
  }

  release(bytes: number): void {
    this.#used -= bytes
  }
}

/** Bytes reserved in several quotas at once: in all of them or in none. */
export class Reservation {
  readonly #quotas: readonly Quota[]
  #bytes = 0

  constructor(...quotas: Quota[]) {
    this.#quotas = quotas
  }

  get bytes(): number {
    return this.#bytes
  }

  add(bytes: number): void {
    let reserved = 0
    try {
      for (; reserved < this.#quotas.length; reserved++) this.#quotas[reserved]?.reserve(bytes)
    } catch (error) {
      while (reserved-- > 0) this.#quotas[reserved]?.release(bytes)
      throw error
    }
    this.#bytes += bytes
  }

  release(): void {
    for (const quota of this.#quotas) quota.release(this.#bytes)
    this.#bytes = 0
  }
}
