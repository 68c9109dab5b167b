/** The time from a load to its unload: what is done for a user who is here. */
export class Load {
  #controller: AbortController | undefined
  #over: boolean

  constructor(isOver: boolean) {
    this.#over = isOver
  }

  /** Aborts at the unload. */
  get signal(): AbortSignal {
    this.#controller ??= new AbortController()
    if (this.#over) this.#controller.abort()
    return this.#controller.signal
  }

  end(): void {
    this.#over = true
    this.#controller?.abort()
  }
}
