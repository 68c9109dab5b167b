import { lstat, rename, unlink } from 'node:fs/promises'
import { join, relative, sep } from 'node:path'
import type { DirectoryAccess, DirectoryHandle } from './directory-handle.js'
import { attemptEach, codeOf, isNoDirectory, makeDirectory, NOT_EMPTY, unlessCode, unsafe } from './disk.js'
import { copyTo, type OpenFile } from './open-file.js'
import { tryLink } from './publisher.js'
import { directoryOfName, nameOfDirectory, type Place, SavedDirectories } from './saved-directories.js'
import { deferred, SharedHandles } from './shared-handles.js'
import type { StoredFile } from './stored-file.js'
import { type SweepContext, sweepUntracked, UnchangedSince } from './untracked-files.js'

/** The directory of one session. It contains saved files, and files that the app has written itself. */
export class SessionDirectory {
  readonly path: string
  readonly #access: DirectoryAccess
  readonly #saved = new SavedDirectories()
  readonly #shared = new SharedHandles((number, work) => this.#use(number, work))
  readonly #unchanged = new UnchangedSince()
  #hasAppDirectory = false

  constructor(path: string, access: DirectoryAccess) {
    this.path = path
    this.#access = access
  }

  /** Creates the directory, unless it exists. */
  create(): Promise<void> {
    return makeDirectory(this.path)
  }

  /** Creates the directory for files that the app writes itself, unless it exists. @returns its path */
  async createForApp(): Promise<string> {
    const path = join(this.path, APP_DIRECTORY)
    if (!(await this.#makeDirectory(APP_DIRECTORY))) throw unsafe(path, 'it is a link or a file')
    this.#hasAppDirectory = true
    return path
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

  /** Opens a saved file for reading. `undefined` if there is no regular file at its place any more. */
  async open(place: Place, name: string): Promise<OpenFile | undefined> {
    const opened: OpenFile[] = []
    try {
      await this.#use(place.directory, async directory => {
        const file = await directory.open(name)
        if (file !== undefined) opened.push(file)
      })
    } catch (error) {
      // The directory was found to be replaced afterwards.
      for (const { handle } of opened) await handle.close()
      throw error
    }
    return opened[0]
  }

  /**
   * Copies a saved file to a path outside, or links it there if no other file shares its bytes. Fails if the path exists.
   * @returns `false` if the file isn't at its place any more
   */
  async copyOut(
    { place, name }: Pick<StoredFile, 'place' | 'name'>,
    destination: string,
    isLinkable: boolean,
  ): Promise<boolean> {
    const file = await this.open(place, name)
    if (file === undefined) return false
    try {
      const isLinked = isLinkable && (await this.#link(place, name, file, destination))
      if (!isLinked) await copyTo(destination, file)
    } finally {
      await file.handle.close()
    }
    return true
  }

  /** The versions of saved files in one `saved` directory, see `versionOf`; `undefined` for each that isn't there any more. */
  async versionsOf(number: number, names: readonly string[]): Promise<(string | undefined)[]> {
    const versions: (string | undefined)[] = []
    const read = (directory: DirectoryHandle) =>
      attemptEach(
        names.map((name, index) => ({ name, index })),
        async ({ name, index }) => {
          versions[index] = await directory.version(name)
        },
      )
    const [error] = (await this.#use(number, read)) ?? []
    if (error !== undefined) throw error
    return names.map((_, index) => versions[index])
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
      const directory = await opened.promise
      return directory !== undefined && unlinkFile(directory, name)
    })
    const using = this.#use(number, async (directory, session) => {
      opened.resolve(directory)
      await Promise.allSettled([removing])
      // A file that is saved in the meantime finds the directory missing, and creates it again.
      if (!this.#saved.isInUse(number))
        await session.rmdir(nameOfDirectory(number)).catch(unlessCode('ENOENT', 'ENOTDIR', ...NOT_EMPTY))
    })
    using.then(() => opened.resolve(undefined), opened.reject)
    const result = await removing
    await using
    return result
  }

  /**
   * Deletes files that the app has written itself and not changed for `age` (ms).
   * @param now milliseconds on the monotonic clock
   * @returns the bytes that the remaining ones count towards the limits
   */
  sweepUntracked(now: number, age: number, report: (error: unknown) => void): Promise<number> {
    this.#unchanged.begin()
    return this.#sweep(entry => this.#unchanged.ageOf(entry, now) >= age, report)
  }

  /** @returns the bytes that files that the app has written itself count towards the limits */
  countUntracked(): Promise<number> {
    return this.#sweep(
      () => false,
      () => {},
    )
  }

  #sweep(isDue: SweepContext['isDue'], report: SweepContext['report']): Promise<number> {
    return sweepUntracked(this.#access, this.path, {
      claim: path => this.#claim(path),
      isInUse: path => this.#isInUse(relative(this.path, path)),
      isDue,
      report,
    })
  }

  /** @returns `false` if the open file can't be linked, or another one has taken its place in the meantime */
  async #link(place: Place, name: string, { stats }: OpenFile, destination: string): Promise<boolean> {
    const linked = await this.#use(place.directory, async directory => {
      if (!(await tryLink(directory.at(name), destination))) return false
      const found = await lstat(destination)
      if (found.isFile() && found.dev === stats.dev && found.ino === stats.ino) return true
      await unlink(destination)
      return false
    })
    return linked === true
  }

  /** @returns `false` if another entry has that name */
  async #move(file: string, number: number, name: string): Promise<boolean> {
    for (let attempts = 3; ; attempts--) {
      try {
        const isMoved = await this.#shared.use(number, async directory => {
          if ((await directory.find(name)) !== undefined) return false
          await rename(file, directory.at(name))
          return true
        })
        if (isMoved !== undefined) return isMoved
        if (attempts === 0) throw unsafe(this.path, 'directories in it are replaced repeatedly')
      } catch (error) {
        // A concurrent removal found the directory empty and removed it.
        if (codeOf(error) !== 'ENOENT' || attempts === 0) throw error
        this.#shared.forget(number)
      }
      if (!(await this.#makeDirectory(nameOfDirectory(number)))) return false
    }
  }

  /** @returns whether it is a directory, and not a link or a file */
  async #makeDirectory(name: string): Promise<boolean> {
    await this.create()
    return this.#access.use(this.path, async session => {
      await session.mkdir(name).catch(unlessCode('EEXIST'))
      return (await session.find(name))?.isDirectory() === true
    })
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

  #isInUse(name: string): boolean {
    if (name === APP_DIRECTORY) return this.#hasAppDirectory
    return this.#saved.isInUse(directoryOfName(name) ?? -1)
  }

  /** Reserves the place at a path, if the path is one. @returns a function that releases it; `undefined` if it is already reserved */
  #claim(path: string): (() => void) | undefined {
    const [directory = '', name, below] = relative(this.path, path).split(sep)
    const number = directoryOfName(directory)
    if (number === undefined || name === undefined || below !== undefined) return () => {}
    const place = this.#saved.reserveAt(number, name)
    return place && (() => this.#saved.release(place))
  }
}

/** Apart from saved files, so that a process that is let into it can't reach them. */
const APP_DIRECTORY = 'app'

/** Removes a file. @returns whether there was one */
export type Unlink = (name: string) => Promise<boolean>

async function unlinkFile(directory: DirectoryHandle, name: string): Promise<boolean> {
  try {
    await directory.unlink(name)
    return true
  } catch (error) {
    // The app may have put a directory in its place.
    if (codeOf(error) === 'ENOENT' || (await directory.find(name))?.isDirectory()) return false
    throw error
  }
}
