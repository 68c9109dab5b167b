import session, { type SessionData } from 'express-session'

type Method = 'get' | 'set' | 'touch' | 'destroy'
type Trouble = Error | 'hangs' | 'throws' | undefined
// biome-ignore lint/suspicious/noExplicitAny: the callbacks of the methods differ, and all begin with an error
type Done = (...answer: any[]) => void

/** A store of express-session in memory that records its calls, and fails as the test requires. */
export class TroubledStore extends session.MemoryStore {
  /** Its calls: `get <id>`. */
  readonly calls: string[] = []
  /** What happens to a call instead of its answer. */
  trouble: (method: Method, id: string) => Trouble = () => undefined

  /** The calls since the last time; only those of that method, without their ids. */
  take(method?: Method): string[] {
    const calls = this.calls.splice(0)
    return method === undefined ? calls : calls.filter(call => call.startsWith(`${method} `))
  }

  /** The ids of all stored sessions, including expired ones. */
  get ids(): string[] {
    return Object.keys(this.#content)
  }

  /** Loses a session, or all, as when another process flushes it: without a notification. */
  lose(id?: string): void {
    for (const lost of id === undefined ? this.ids : [id]) delete this.#content[lost]
  }

  /** The stored text of a session; {@link restore} puts it back. */
  stored(id: string): string | undefined {
    return this.#content[id]
  }

  /** Another process saves a session. */
  restore(id: string, text: string | undefined): void {
    if (text !== undefined) this.#content[id] = text
  }

  override get(id: string, done: Done): void {
    this.#call('get', id, done, () => super.get(id, done))
  }

  override set(id: string, data: SessionData, done?: Done): void {
    this.#call('set', id, done, () => super.set(id, data, done))
  }

  override touch(id: string, data: SessionData, done?: Done): void {
    this.#call('touch', id, done, () => super.touch(id, data, done))
  }

  override destroy(id: string, done?: Done): void {
    this.#call('destroy', id, done, () => super.destroy(id, done))
  }

  /** The data of `MemoryStore` of express-session 1.x: the sessions as JSON, by their ids. */
  get #content(): Record<string, string> {
    return (this as unknown as { sessions: Record<string, string> }).sessions
  }

  #call(method: Method, id: string, done: Done | undefined, answer: () => void): void {
    this.calls.push(`${method} ${id}`)
    const trouble = this.trouble(method, id)
    if (trouble === undefined) answer()
    else if (trouble === 'throws') throw new Error(`${method} throws`)
    else if (trouble !== 'hangs') setImmediate(() => done?.(trouble))
  }
}
