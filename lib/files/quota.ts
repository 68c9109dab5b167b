import { type ErrorCode, GradioStateError } from '../errors.js'

/**
 * Bytes that a file takes of the limits at least: the block and the inode that the file system gives to an empty one. Without
 * it, a single request could bring any number of empty files.
 */
const LEAST = 4096

/** What a file of that size takes of the limits. */
export function chargeOf(size: number): number {
  return Math.max(size, LEAST)
}

/** Counts bytes or files against a limit, before they are written: what is counted may be on its way. */
export class Quota {
  readonly #limit: number
  readonly #code: ErrorCode
  readonly #what: string
  readonly #unit: string
  #used = 0

  /** @param what names the limit in the error */
  constructor(limit: number, code: ErrorCode, what: string, unit: 'bytes' | 'files' = 'bytes') {
    this.#limit = limit
    this.#code = code
    this.#what = what
    this.#unit = unit
  }

  get used(): number {
    return this.#used
  }

  /** @throws GradioStateError when that doesn't fit */
  check(amount: number): void {
    if (this.#used + amount <= this.#limit) return
    throw new GradioStateError(
      this.#code,
      `Expected at most ${this.#limit} ${this.#unit} (${this.#what}), got more. Delete files, or raise the limit.`,
    )
  }

  /** Counts an amount, whether or not it fits. */
  add(amount: number): void {
    this.#used += amount
  }

  release(amount: number): void {
    this.#used -= amount
  }
}

/** The limits that a file of a session counts against. */
export interface FileLimits {
  /** How many files the session has. */
  readonly files: Quota
  /** What they take together. */
  readonly bytes: Quota
  /** What the files of all sessions take. */
  readonly total: Quota
}

/** What one file that is being written takes of the limits: of all of them, or of none. */
export class Reservation {
  readonly #own: Quota
  readonly #limits: FileLimits
  #isReleased = false

  /**
   * Takes the place of one file.
   * @throws GradioStateError when there is none
   */
  constructor(maxFileSize: number, limits: FileLimits) {
    this.#own = new Quota(maxFileSize, 'FILE_TOO_LARGE', 'maxFileSize')
    this.#limits = limits
    reserveAll([
      [limits.files, 1],
      [limits.bytes, LEAST],
      [limits.total, LEAST],
    ])
  }

  /** @throws GradioStateError when that many more bytes don't fit; then none is counted */
  add(bytes: number): void {
    const size = this.#own.used
    const more = chargeOf(size + bytes) - chargeOf(size)
    reserveAll([
      [this.#own, bytes],
      [this.#limits.bytes, more],
      [this.#limits.total, more],
    ])
  }

  /** Gives all of it back, however often it is called. */
  release(): void {
    if (this.#isReleased) return
    this.#isReleased = true
    const charge = chargeOf(this.#own.used)
    this.#limits.files.release(1)
    this.#limits.bytes.release(charge)
    this.#limits.total.release(charge)
  }
}

function reserveAll(amounts: readonly (readonly [Quota, number])[]): void {
  for (const [quota, amount] of amounts) quota.check(amount)
  for (const [quota, amount] of amounts) quota.add(amount)
}
