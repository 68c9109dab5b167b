import { rename } from 'node:fs/promises'
import { join, relative, sep } from 'node:path'
import type { DirectoryAccess, DirectoryHandle } from './directory-handle.js'
import { codeOf, isNoDirectory, makeDirectory, NOT_EMPTY, unlessCode, unsafe } from './disk.js'
import { directoryOfName, nameOfDirectory, type Place, SavedDirectories } from './saved-directories.js'
import { sweepUntracked } from './untracked-files.js'

/** The directory of one session on the disk: where its files are saved, and what the app has written into it. */
export class SessionDirectory {
  readonly path: string
  readonly #access: DirectoryAccess
  readonly #saved = new SavedDirectories()
  readonly #shared = new Map<number, SharedDirectory>()

  constructor(path: string, access: DirectoryAccess) {
    this.path = path
    this.#access = access
  }

  /** Creates the directory, unless it is there. */
  make(): Promise<void> {
    return makeDirectory(this.path)
  }

  pathOf({ directory }: Place, name: string): string {
    return join(this.path, nameOfDirectory(directory), name)
  }

  /** Moves a file to the first place where nothing is in its way: what the app has put there stays. */
  async put(file: string, name: string): Promise<Place> {
    const passed: Place[] = []
    try {
      for (;;) {
        const place = this.#saved.reserve(name)
        passed.push(place)
        if (await this.#move(file, place.directory, name)) {
          passed.pop()
          return place
        }
      }
    } finally {
      for (const place of passed) this.#saved.release(place)
    }
  }

  /** The place of a file that was removed is free again. */
  release(place: Place): void {
    this.#saved.release(place)
  }

  /** Runs `work` with the path of a file that is where it was put; gives `undefined` when it isn't. */
  useFile<T>(place: Place, name: string, work: (path: string) => Promise<T>): Promise<T | undefined> {
    return this.#use(place.directory, async directory =>
      (await directory.find(name))?.isFile() ? work(directory.at(name)) : undefined,
    )
  }

  /**
   * Runs `work`, which removes files of one of the directories, and removes that when it is empty. `work` begins at once,
   * and its calls wait until the directory is open. Where a link or a file was put in the directory's place, its files are
   * taken for removed.
   */
  async removeFrom<T>(number: number, work: (unlink: Unlink) => Promise<T>): Promise<T> {
    const opened = deferred<DirectoryHandle | undefined>()
    // Nobody may wait for it.
    opened.promise.catch(() => {})
    const removing = work(async name => {
      await (await opened.promise)?.unlink(name).catch(unlessCode('ENOENT'))
    })
    const using = this.#use(number, async (directory, session) => {
      opened.resolve(directory)
      await Promise.allSettled([removing])
      // Somebody who comes meanwhile finds it gone, and creates it again.
      if (!this.#saved.isInUse(number))
        await session.rmdir(nameOfDirectory(number)).catch(unlessCode('ENOENT', 'ENOTDIR', ...NOT_EMPTY))
    })
    using.then(() => opened.resolve(undefined), opened.reject)
    const result = await removing
    await using
    return result
  }

  /**
   * Deletes what the app has put there by itself and not touched since `until` (ms since the epoch).
   * @returns what that which stays takes of the limits
   */
  sweepUntracked(until: number, report: (error: unknown) => void): Promise<number> {
    return sweepUntracked(this.#access, this.path, until, {
      claim: path => this.#claim(path),
      isInUse: path => this.#saved.isInUse(directoryOfName(relative(this.path, path)) ?? -1),
      report,
    })
  }

  /** Tells whether nothing was in the way. */
  async #move(file: string, number: number, name: string): Promise<boolean> {
    for (let attempts = 3; ; attempts--) {
      try {
        const isMoved = await this.#useShared(number, async directory => {
          if ((await directory.find(name)) !== undefined) return false
          await rename(file, directory.at(name))
          return true
        })
        if (isMoved !== undefined) return isMoved
        if (attempts === 0) throw unsafe(this.path, 'directories in it are replaced all the time')
      } catch (error) {
        // A removal has just taken the directory as empty.
        if (codeOf(error) !== 'ENOENT' || attempts === 0) throw error
        this.#shared.delete(number)
      }
      if (!(await this.#makeSaved(nameOfDirectory(number)))) return false
    }
  }

  /** Tells whether there is a directory of that name now, and nothing else. */
  async #makeSaved(name: string): Promise<boolean> {
    await this.make()
    return this.#access.use(this.path, async session => {
      await session.mkdir(name).catch(unlessCode('EEXIST'))
      return (await session.find(name))?.isDirectory() === true
    })
  }

  /** As `#use`, but those who come while the directory is open share its descriptor: opening costs two calls. */
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

  /** Runs `work` with one of the directories, if it is there. */
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

  /** Reserves the place of a path, if it is one, until the given function is called; nothing when it is reserved. */
  #claim(path: string): (() => void) | undefined {
    const [directory = '', name, below] = relative(this.path, path).split(sep)
    const number = directoryOfName(directory)
    if (number === undefined || name === undefined || below !== undefined) return () => {}
    const place = this.#saved.reserveAt(number, name)
    return place && (() => this.#saved.release(place))
  }
}

/** A directory that is open as long as anybody uses it. */
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

/** Removes a file, if it is there. */
export type Unlink = (name: string) => Promise<void>
