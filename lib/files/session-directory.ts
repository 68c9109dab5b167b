import { rename } from 'node:fs/promises'
import { join, relative, sep } from 'node:path'
import type { DirectoryAccess, DirectoryHandle } from './directory-handle.js'
import { codeOf, isNoDirectory, makeDirectory, NOT_EMPTY, unlessCode, unsafe } from './disk.js'
import { directoryOfName, nameOfDirectory, type Place, SavedDirectories } from './saved-directories.js'
import { sweepUntracked } from './untracked-files.js'

/** The directory of one session. It contains saved files, and files that the app has written itself. */
export class SessionDirectory {
  readonly path: string
  readonly #access: DirectoryAccess
  readonly #saved = new SavedDirectories()
  readonly #shared = new Map<number, SharedDirectory>()

  constructor(path: string, access: DirectoryAccess) {
    this.path = path
    this.#access = access
  }

  /** Creates the directory, unless it exists. */
  create(): Promise<void> {
    return makeDirectory(this.path)
  }

  pathOf({ directory }: Place, name: string): string {
    return join(this.path, nameOfDirectory(directory), name)
  }

  /** Moves a file to the first free place. Files that the app has written itself are not overwritten. */
  async put(file: string, name: string): Promise<Place> {
    const occupied: Place[] = []
    try {
      for (;;) {
        const place = this.#saved.reserve(name)
        occupied.push(place)
        if (await this.#move(file, place.directory, name)) {
          occupied.pop()
          return place
        }
      }
    } finally {
      for (const place of occupied) this.#saved.release(place)
    }
  }

  /** Frees the place of a file that was removed. */
  release(place: Place): void {
    this.#saved.release(place)
  }

  /** Runs `work` with the path of a saved file. Resolves with `undefined` if the file is not at its place any more. */
  useFile<T>(place: Place, name: string, work: (path: string) => Promise<T>): Promise<T | undefined> {
    return this.#use(place.directory, async directory =>
      (await directory.find(name))?.isFile() ? work(directory.at(name)) : undefined,
    )
  }

  /**
   * Runs `work`, which removes files of one `saved` directory, and then removes the directory if it is empty. `work` starts
   * immediately, and its calls of `unlink` wait until the directory is open. If the directory was replaced by a link or a file,
   * its files count as removed.
   */
  async removeFrom<T>(number: number, work: (unlink: Unlink) => Promise<T>): Promise<T> {
    const opened = deferred<DirectoryHandle | undefined>()
    // `work` may make no calls, and then nothing handles a rejection.
    opened.promise.catch(() => {})
    const removing = work(async name => {
      await (await opened.promise)?.unlink(name).catch(unlessCode('ENOENT'))
    })
    const using = this.#use(number, async (directory, session) => {
      opened.resolve(directory)
      await Promise.allSettled([removing])
      // A file that is saved meanwhile finds the directory missing, and creates it again.
      if (!this.#saved.isInUse(number))
        await session.rmdir(nameOfDirectory(number)).catch(unlessCode('ENOENT', 'ENOTDIR', ...NOT_EMPTY))
    })
    using.then(() => opened.resolve(undefined), opened.reject)
    const result = await removing
    await using
    return result
  }

  /**
   * Deletes files that the app has written itself and not changed since `until` (ms since the epoch).
   * @returns the bytes that the remaining ones count towards the limits
   */
  sweepUntracked(until: number, report: (error: unknown) => void): Promise<number> {
    return sweepUntracked(this.#access, this.path, until, {
      claim: path => this.#claim(path),
      isInUse: path => this.#saved.isInUse(directoryOfName(relative(this.path, path)) ?? -1),
      report,
    })
  }

  /** @returns `false` if another entry has that name */
  async #move(file: string, number: number, name: string): Promise<boolean> {
    for (let attempts = 3; ; attempts--) {
      try {
        const isMoved = await this.#useShared(number, async directory => {
          if ((await directory.find(name)) !== undefined) return false
          await rename(file, directory.at(name))
          return true
        })
        if (isMoved !== undefined) return isMoved
        if (attempts === 0) throw unsafe(this.path, 'directories in it are replaced repeatedly')
      } catch (error) {
        // A concurrent removal found the directory empty and removed it.
        if (codeOf(error) !== 'ENOENT' || attempts === 0) throw error
        this.#shared.delete(number)
      }
      if (!(await this.#makeSaved(nameOfDirectory(number)))) return false
    }
  }

  /** @returns whether it is a directory, and not a link or a file */
  async #makeSaved(name: string): Promise<boolean> {
    await this.create()
    return this.#access.use(this.path, async session => {
      await session.mkdir(name).catch(unlessCode('EEXIST'))
      return (await session.find(name))?.isDirectory() === true
    })
  }

  /** Like `#use`, but concurrent calls share one descriptor, because opening takes two system calls. */
  async #useShared<T>(
    number: number,
    work: (directory: DirectoryHandle) => Promise<T>,
  ): Promise<T | undefined> {
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

  #share(number: number): SharedDirectory {
    const [opened, last] = [deferred<DirectoryHandle | undefined>(), deferred<void>()]
    const closed = this.#use(number, async directory => {
      opened.resolve(directory)
      await last.promise
    })
    closed.then(() => opened.resolve(undefined), opened.reject)
    const shared = { users: 0, opened: opened.promise, close: () => last.resolve(), closed }
    this.#shared.set(number, shared)
    return shared
  }

  /** Runs `work` with a `saved` directory. Resolves with `undefined` if it doesn't exist. */
  async #use<T>(
    number: number,
    work: (directory: DirectoryHandle, session: DirectoryHandle) => Promise<T>,
  ): Promise<T | undefined> {
    let isOpen = false
    try {
      return await this.#access.use(this.path, session =>
        session.use(nameOfDirectory(number), directory => {
          isOpen = true
          return work(directory, session)
        }),
      )
    } catch (error) {
      if (!isOpen && isNoDirectory(error)) return undefined
      throw error
    }
  }

  /** Reserves the place at a path, if the path is one. @returns releases it; `undefined` if it is already reserved */
  #claim(path: string): (() => void) | undefined {
    const [directory = '', name, below] = relative(this.path, path).split(sep)
    const number = directoryOfName(directory)
    if (number === undefined || name === undefined || below !== undefined) return () => {}
    const place = this.#saved.reserveAt(number, name)
    return place && (() => this.#saved.release(place))
  }
}

/** An open directory, which is closed after its last use. */
interface SharedDirectory {
  users: number
  readonly opened: Promise<DirectoryHandle | undefined>
  close(): void
  readonly closed: Promise<unknown>
}

function deferred<T>() {
  let resolve!: (value: T) => void
  let reject!: (error: unknown) => void
  const promise = new Promise<T>((...settle) => {
    ;[resolve, reject] = settle
  })
  return { promise, resolve, reject }
}

/** Removes a file, if it exists. */
export type Unlink = (name: string) => Promise<void>
