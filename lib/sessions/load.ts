/** One load of a session, until its unload; the source of `req.gradioState.signal`. */
export class Load {
  #controller: AbortController | undefined
  #isOver: boolean

  constructor(isOver: boolean) {
    this.#isOver = isOver
  }

  /** Aborts at the unload. */
  get signal(): AbortSignal {
    this.#controller ??= new AbortController()
    if (this.#isOver) this.#controller.abort()
    return this.#controller.signal
  }

  get isOver(): boolean {
    return this.#isOver
  }

  end(): void {
    this.#isOver = true
    this.#controller?.abort()
  }
}
