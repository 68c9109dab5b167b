import type { Snapshot } from '../data.js'

/** Why there is no new data. */
export type Problem = 'refused' | 'unreachable'

/** Receives what {@link Poll} reads. */
export interface Reader {
  /** The part of the query that chooses what to read. */
  query(): URLSearchParams
  show(snapshot: Snapshot): void
  fail(problem: Problem): void
}

/** Polls the data while the page is visible. */
export class Poll {
  readonly #reader: Reader
  #timer: number | undefined
  #request: AbortController | undefined
  #isPaused = false

  constructor(reader: Reader) {
    this.#reader = reader
    document.addEventListener('visibilitychange', () => this.#resume())
  }

  set isPaused(isPaused: boolean) {
    this.#isPaused = isPaused
    if (isPaused) clearTimeout(this.#timer)
    else this.#resume()
  }

  /** Reads now, even while paused. A read in flight is for an earlier query, and is cancelled. */
  async read(): Promise<void> {
    clearTimeout(this.#timer)
    this.#request?.abort()
    const request = new AbortController()
    this.#request = request
    const result = await this.#fetch(request.signal)
    if (request.signal.aborted) return
    if (typeof result === 'string') this.#reader.fail(result)
    else this.#reader.show(result)
    if (!this.#isPaused && result !== 'refused') this.#schedule()
  }

  async #fetch(signal: AbortSignal): Promise<Snapshot | Problem> {
    try {
      const timeout = AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT)])
      const response = await fetch(`?data&${this.#reader.query()}`, { signal: timeout, cache: 'no-store' })
      if (response.status === 404) return 'refused'
      return response.ok ? await response.json() : 'unreachable'
    } catch {
      return 'unreachable'
    }
  }

  #resume(): void {
    if (document.visibilityState === 'visible' && !this.#isPaused) void this.read()
  }

  #schedule(): void {
    this.#timer = setTimeout(() => this.#resume(), INTERVAL)
  }
}

const INTERVAL = 2000
const TIMEOUT = 30_000
