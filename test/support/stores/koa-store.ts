type Method = 'get' | 'set' | 'destroy'

/** An external store of koa-session in memory that records its calls, and fails as the test requires. */
export class KoaStore {
  /** Its calls: `get <id>`. */
  readonly calls: string[] = []
  /** What happens to a call instead of its answer. */
  trouble: (method: Method, id: string) => Error | undefined | Promise<undefined> = () => undefined
  readonly #content = new Map<string, { text: string; until: number }>()

  /** The calls since the last time, without their ids. */
  take(): string[] {
    return this.calls.splice(0).map(call => call.split(' ')[0] as string)
  }

  /** The calls since the last time that would change something. */
  writes(): string[] {
    return this.take().filter(name => name !== 'get')
  }

  /** The ids of all stored sessions, including expired ones. */
  get ids(): string[] {
    return [...this.#content.keys()]
  }

  /** The stored text of a session. */
  stored(id: string): string | undefined {
    return this.#content.get(id)?.text
  }

  /** Loses a session, as when another process destroys it: without a notification. */
  lose(id: string): void {
    this.#content.delete(id)
  }

  async get(id: string): Promise<unknown> {
    await this.#called('get', id)
    const found = this.#content.get(id)
    return found && found.until > Date.now() ? JSON.parse(found.text) : undefined
  }

  async set(id: string, session: object, maxAge: number | 'session'): Promise<void> {
    await this.#called('set', id)
    const until = typeof maxAge === 'number' ? Date.now() + maxAge : Number.POSITIVE_INFINITY
    this.#content.set(id, { text: JSON.stringify(session), until })
  }

  async destroy(id: string): Promise<void> {
    await this.#called('destroy', id)
    this.#content.delete(id)
  }

  /** A store on another machine answers asynchronously. */
  async #called(method: Method, id: string): Promise<void> {
    this.calls.push(`${method} ${id}`)
    const trouble = await this.trouble(method, id)
    if (trouble !== undefined) throw trouble
  }
}
