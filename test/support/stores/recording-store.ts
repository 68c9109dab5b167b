import { setTimeout as sleep } from 'node:timers/promises'
import session, { type SessionData } from 'express-session'

type Callback = (error?: unknown) => void
type Found = (error: unknown, session?: SessionData | null) => void

/** A store of express-session that records its calls, and answers as slowly as one on another machine. */
export class RecordingStore extends session.MemoryStore {
  /** The calls that would change something in a database; `get` includes those that only read. */
  readonly calls: string[] = []
  readonly #delay: number

  /** @param delay milliseconds that each call takes */
  constructor(delay = 0) {
    super()
    this.#delay = delay
  }

  /** The calls since the last time, without those that only read. */
  writes(): string[] {
    return this.calls.splice(0).filter(name => name !== 'get')
  }

  /** The stored sessions, by session id. */
  stored(): Promise<Record<string, SessionData>> {
    return new Promise((resolve, reject) => {
      super.all((error, sessions) =>
        error ? reject(error) : resolve({ ...(sessions as never as Record<string, SessionData>) }),
      )
    })
  }

  override get(id: string, found: Found): void {
    this.calls.push('get')
    this.#later(() => super.get(id, found))
  }

  override set(id: string, data: SessionData, done?: Callback): void {
    this.calls.push('set')
    this.#later(() => super.set(id, data, done))
  }

  override touch(id: string, data: SessionData, done?: () => void): void {
    this.calls.push('touch')
    this.#later(() => super.touch(id, data, done))
  }

  override destroy(id: string, done?: Callback): void {
    this.calls.push('destroy')
    this.#later(() => super.destroy(id, done))
  }

  #later(work: () => void): void {
    if (this.#delay === 0) work()
    else void sleep(this.#delay).then(work)
  }
}
