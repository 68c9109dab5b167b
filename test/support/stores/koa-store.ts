type Method = 'get' | 'set' | 'destroy'

/** An external store of koa-session in memory that notes what it is asked, and fails as the test likes. */
export class KoaStore {
  /** What it was asked: `get <id>`. */
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

  /** The ids of all that is stored, also of what has expired. */
  get ids(): string[] {
    return [...this.#content.keys()]
  }

  /** What is stored of a session, as text. */
  stored(id: string): string | undefined {
    return this.#content.get(id)?.text
  }

  /** Loses a session, as when another process destroys it: nobody is notified. */
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

  /** What is in another place answers later. */
  async #called(method: Method, id: string): Promise<void> {
    this.calls.push(`${method} ${id}`)
    const trouble = await this.trouble(method, id)
    if (trouble !== undefined) throw trouble
  }
}
