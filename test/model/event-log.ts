import type { FakeClock } from '../../lib/testing/index.ts'

const UUID = /[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}/g

/** What happened in the library, and when. Sessions are named after the request that started them, as in `info`. */
export class EventLog {
  readonly #clock: FakeClock
  /** By id. */
  readonly #names = new Map<string, string>()
  #lines: string[] = []

  constructor(clock: FakeClock) {
    this.#clock = clock
  }

  say(line: string): void {
    this.#lines.push(`${this.#clock.now()} ${line}`)
  }

  /** The events since the last call. */
  take(): string[] {
    const lines = this.#lines.map(line => this.withNames(line))
    this.#lines = []
    return lines
  }

  nameSession(id: string, name: string): void {
    this.#names.set(id, name)
  }

  /** Replaces the ids of sessions with their names. */
  withNames(line: string): string {
    return line.replace(UUID, id => this.#names.get(id) ?? id)
  }
}
