import { type ErrorCode, GradioStateError } from '../errors.js'
import type { Place } from './saved-directories.js'

/**
 * Each file counts at least this many bytes, because an empty file occupies an inode and up to a block on the disk. Otherwise a
 * client could upload any number of empty files.
 */
export const MIN_CHARGE = 4096

/** The bytes that a file of this size counts towards the limits. */
export function chargeOf(size: number): number {
  return Math.max(size, MIN_CHARGE)
}

/**
 * The bytes that a file counts in addition because of the directory that it is stored in: one that has the name of another file needs a
 * further `saved` directory, which takes a block on the disk, too.
 */
export function chargeOfPlace({ directory }: Place): number {
  return directory > 0 ? MIN_CHARGE : 0
}

/** Enforces a limit on bytes or files. They are counted before they are written. */
export class Quota {
  readonly #limit: number
  readonly #code: ErrorCode
  readonly #option: string
  readonly #unit: string
  readonly #outer: Quota | undefined
  #used = 0

  /**
   * @param option the option that sets the limit, for the error message
   * @param outer a quota to which everything is also added
   */
  constructor(
    limit: number,
    code: ErrorCode,
    option: string,
    unit: 'bytes' | 'files' = 'bytes',
    outer?: Quota,
  ) {
    this.#limit = limit
    this.#code = code
    this.#option = option
    this.#unit = unit
    this.#outer = outer
  }

  get used(): number {
    return this.#used
  }

  /** @throws GradioStateError if adding `amount` would exceed the limit */
  check(amount: number): void {
    if (this.missing(amount) === 0) return
    throw new GradioStateError(
      this.#code,
      `Expected at most ${this.#limit} ${this.#unit} (${this.#option}), got more. Delete files, or raise the limit.`,
    )
  }

  /** By how much adding `amount` would exceed the limit. */
  missing(amount: number): number {
    return Math.max(this.#used + amount - this.#limit, this.#outer?.missing(amount) ?? 0, 0)
  }

  /** Adds an amount, even if that exceeds the limit. */
  add(amount: number): void {
    this.#used += amount
    this.#outer?.add(amount)
  }

  release(amount: number): void {
    this.#used -= amount
    this.#outer?.release(amount)
  }

  /** Releases everything. */
  clear(): void {
    this.release(this.#used)
  }
}

/** The limits that apply to the files of a session. */
export interface FileLimits {
  /** The number of the session's files. */
  readonly files: Quota
  /** The bytes of the session's files. */
  readonly bytes: Quota
  /** The bytes of the files of all sessions. */
  readonly total: Quota
}

/** What a file that is being written counts towards the limits. An amount is added to all of them or to none. */
export class Reservation {
  readonly #own: Quota
  readonly #limits: FileLimits
  #isReleased = false

  /**
   * Reserves one file and its minimum size.
   * @throws GradioStateError if that exceeds a limit
   */
  constructor(maxFileSize: number, limits: FileLimits) {
    this.#own = new Quota(maxFileSize, 'FILE_TOO_LARGE', 'maxFileSize')
    this.#limits = limits
    reserveAll([
      [limits.files, 1],
      [limits.bytes, MIN_CHARGE],
      [limits.total, MIN_CHARGE],
    ])
  }

  /** Reserves more bytes, unless it was released. @throws GradioStateError if that exceeds a limit; then nothing is added */
  add(bytes: number): void {
    if (this.#isReleased) return
    const size = this.#own.used
    const more = chargeOf(size + bytes) - chargeOf(size)
    reserveAll([
      [this.#own, bytes],
      [this.#limits.bytes, more],
      [this.#limits.total, more],
    ])
  }

  /** Releases everything. Further calls do nothing. */
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
