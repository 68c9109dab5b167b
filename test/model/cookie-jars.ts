import type { StubResponse } from '../support/http/stub-http.ts'

/** The cookies of the users' browsers. A cookie is identified by the label of the request whose response was the first to set it. */
export class CookieJars {
  /** By the name of the user. */
  readonly #cookies = new Map<string, string>()
  readonly #labels = new Map<string, string>()

  /** The `Cookie` header that the user's browser sends. */
  headerOf(user: string): string | undefined {
    return this.#cookies.get(user)
  }

  labelOf(user: string): string | undefined {
    return this.#labels.get(this.#cookies.get(user) ?? '')
  }

  /** Gives the user's browser the cookie with that label, or none. */
  change(user: string, to: string | undefined): void {
    this.#cookies.delete(user)
    for (const [cookie, label] of this.#labels) if (label === to) this.#cookies.set(user, cookie)
  }

  /** Stores the cookie that the response sets. */
  receive(user: string, res: StubResponse, label: string): void {
    const cookies = [res.getHeader('set-cookie') ?? []].flat().map(line => line.split(';')[0]!)
    const cookie = cookies.find(cookie => cookie.startsWith('gradio_state='))
    if (cookie === undefined) return
    this.#cookies.set(user, cookie)
    if (!this.#labels.has(cookie)) this.#labels.set(cookie, label)
  }
}
