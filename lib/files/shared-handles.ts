import type { DirectoryHandle } from './directory-handle.js'

type Work<T> = (directory: DirectoryHandle) => Promise<T>

/** Opens numbered directories. Concurrent calls share one descriptor, because opening takes two system calls. */
export class SharedHandles {
  readonly #open: (number: number, work: Work<void>) => Promise<unknown>
  readonly #shared = new Map<number, SharedHandle>()

  /** @param open runs `work` with an open directory, or resolves without calling it if there is none */
  constructor(open: (number: number, work: Work<void>) => Promise<unknown>) {
    this.#open = open
  }

  /** Resolves with `undefined` if the directory doesn't exist. */
  async use<T>(number: number, work: Work<T>): Promise<T | undefined> {
    const shared = this.#shared.get(number) ?? this.#share(number)
    shared.users++
    try {
      const directory = await shared.opened
      return directory && (await work(directory))
    } finally {
      if (--shared.users === 0) {
        if (this.#shared.get(number) === shared) this.#shared.delete(number)
        shared.close()
        await shared.closed
      }
    }
  }

  /** The next call opens the directory again. */
  forget(number: number): void {
    this.#shared.delete(number)
  }

  #share(number: number): SharedHandle {
    const [opened, last] = [deferred<DirectoryHandle | undefined>(), deferred<void>()]
    const closed = this.#open(number, async directory => {
      opened.resolve(directory)
      await last.promise
    })
    closed.then(() => opened.resolve(undefined), opened.reject)
    const shared = { users: 0, opened: opened.promise, close: () => last.resolve(), closed }
    this.#shared.set(number, shared)
    return shared
  }
}

/** An open directory, which is closed after its last use. */
interface SharedHandle {
  users: number
  readonly opened: Promise<DirectoryHandle | undefined>
  close(): void
  readonly closed: Promise<unknown>
}

export function deferred<T>() {
  let resolve!: (value: T) => void
  let reject!: (error: unknown) => void
  const promise = new Promise<T>((...settle) => {
    ;[resolve, reject] = settle
  })
  return { promise, resolve, reject }
}
