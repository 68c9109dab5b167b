import { closeSync, constants, type Dirent, open, type Stats } from 'node:fs'
import { lstat, mkdir, readdir, realpath, rmdir, unlink, writeFile } from 'node:fs/promises'
import { basename, dirname, join, sep } from 'node:path'
import { promisify } from 'node:util'
import { attemptEach, codeOf, NOT_EMPTY, PRIVATE_DIRECTORY, unlessCode, unsafe } from './disk.js'
import { type OpenFile, openFile, versionOf } from './open-file.js'

/**
 * Opens directories that the app may write to. A directory may be replaced by a symbolic link, for example when the app unpacks
 * an archive, even between a check and the system call that relies on it. On Linux, `/proc/self/fd/N/name` is an entry of the
 * directory that was opened, no matter where its path leads now. On other systems, the identity of the directory is
 * compared before and after: a swap is detected, but not prevented.
 */
export class DirectoryAccess {
  #hasDescriptorPaths = false

  /** Detects whether paths below `/proc/self/fd` work, by creating a file in `directory`, which must be the library's own. */
  async probe(directory: string): Promise<void> {
    try {
      await useDescriptor(directory, async base => {
        await writeFile(join(base, PROBE), '', { flag: 'wx' })
        await unlink(join(directory, PROBE))
      })
      this.#hasDescriptorPaths = true
    } catch {
      // There is no /proc: not Linux, or not mounted.
    }
  }

  /**
   * Runs `work` with an open directory. All calls of `work` have to be finished when it resolves, because the number of a
   * closed descriptor is reused, possibly for another directory.
   * @param at the path for opening it. Only the last part of it is checked not to be a link
   * @throws ENOENT if it doesn't exist, ENOTDIR if it is a link or a file
   */
  use<T>(path: string, work: (directory: DirectoryHandle) => Promise<T>, at = path): Promise<T> {
    const run = this.#hasDescriptorPaths ? useDescriptor : useUnchanged
    return run(at, base => work(new DirectoryHandle(this, path, base)))
  }

  /**
   * Opens a regular file below a directory. No part of the path below it may be a link.
   * @returns `undefined` if there is no regular file
   * @throws ENOENT, ENOTDIR if a directory on the path doesn't exist, or is a link or a file
   */
  openBelow(root: string, path: string): Promise<OpenFile | undefined> {
    const open = (
      directory: DirectoryHandle,
      [name = '', ...rest]: string[],
    ): Promise<OpenFile | undefined> =>
      rest.length === 0 ? directory.open(name) : directory.use(name, next => open(next, rest))
    return this.use(root, directory => open(directory, path.split(sep)))
  }

  /** Removes a directory with its contents, or a file or link at this path. Only the library may write to the parent directory. */
  async removeTree(path: string): Promise<void> {
    const parent = await realpath(dirname(path)).catch(unlessCode('ENOENT'))
    if (parent === undefined) return
    for (let attempts = 50; ; attempts--) {
      try {
        return await this.use(parent, directory => directory.remove(basename(path)))
      } catch (error) {
        // A program of the app may still be changing the directory.
        if (attempts === 0 || !CHANGED_MEANWHILE.includes(codeOf(error) ?? '')) throw error
      }
    }
  }
}

const PROBE = '.probe'

/** The error codes of removing something that has become a directory, or isn't empty any more. */
const CHANGED_MEANWHILE = ['EISDIR', ...NOT_EMPTY]

/** An open directory. On Linux its entries are accessed by its descriptor, not by its path. */
export class DirectoryHandle {
  readonly path: string
  readonly #access: DirectoryAccess
  readonly #base: string

  constructor(access: DirectoryAccess, path: string, base: string) {
    this.#access = access
    this.path = path
    this.#base = base
  }

  /** The path of an entry for system calls. */
  at(name: string): string {
    return join(this.#base, name)
  }

  entries(): Promise<Dirent[]> {
    return this.#withOwnPath(readdir(this.#base, { withFileTypes: true }))
  }

  /** `lstat` of an entry: doesn't follow links. `undefined` if it doesn't exist. */
  find(name: string): Promise<Stats | undefined> {
    return this.#withOwnPath(lstat(this.at(name))).catch(unlessCode('ENOENT'))
  }

  /** The version of a regular file, see {@link versionOf}. `undefined` if there is none. */
  async version(name: string): Promise<string | undefined> {
    const stats = await this.find(name)
    return stats?.isFile() ? versionOf(stats) : undefined
  }

  /** Opens a regular file for reading. `undefined` if there is none, or it is a link. */
  open(name: string): Promise<OpenFile | undefined> {
    return this.#withOwnPath(openFile(this.at(name)))
  }

  /** Runs `work` with a subdirectory, like {@link DirectoryAccess.use}. */
  use<T>(name: string, work: (directory: DirectoryHandle) => Promise<T>): Promise<T> {
    return this.#withOwnPath(this.#access.use(join(this.path, name), work, this.at(name)))
  }

  mkdir(name: string): Promise<void> {
    return this.#withOwnPath(mkdir(this.at(name), PRIVATE_DIRECTORY))
  }

  rmdir(name: string): Promise<void> {
    return this.#withOwnPath(rmdir(this.at(name)))
  }

  /** Removes a file or a link. */
  unlink(name: string): Promise<void> {
    return this.#withOwnPath(unlink(this.at(name)))
  }

  /** Removes a directory with its contents, or a file or a link. Does nothing if the entry doesn't exist. */
  async remove(name: string): Promise<void> {
    try {
      await this.use(name, directory => directory.#clear())
      await this.rmdir(name)
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return
      if (codeOf(error) !== 'ENOTDIR') throw error
      await this.unlink(name)
    }
  }

  async #clear(): Promise<void> {
    const entries = await this.entries()
    const files = entries.filter(entry => !entry.isDirectory())
    const errors = await attemptEach(files, ({ name }) => this.unlink(name))
    // One after the other: each needs one open descriptor per level.
    for (const { name } of entries.filter(entry => entry.isDirectory())) await this.remove(name)
    for (const error of errors) if (codeOf(error) !== 'ENOENT') throw error
  }

  /** Replaces the path of the descriptor in errors with the path of the directory. */
  async #withOwnPath<T>(call: Promise<T>): Promise<T> {
    try {
      return await call
    } catch (error) {
      const { path } = error as NodeJS.ErrnoException
      if (error instanceof Error && (path === this.#base || path?.startsWith(join(this.#base, '/')))) {
        const ownPath = join(this.path, path.slice(this.#base.length))
        error.message = error.message.replace(path, () => ownPath)
        Object.assign(error, { path: ownPath })
      }
      throw error
    }
  }
}

async function useDescriptor<T>(path: string, work: (base: string) => Promise<T>): Promise<T> {
  const { O_RDONLY, O_DIRECTORY, O_NOFOLLOW } = constants
  const descriptor = await promisify(open)(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
  try {
    return await work(`/proc/self/fd/${descriptor}`)
  } finally {
    // Synchronous: closing a directory doesn't wait for the disk, as nothing was written through this descriptor.
    closeSync(descriptor)
  }
}

async function useUnchanged<T>(path: string, work: (base: string) => Promise<T>): Promise<T> {
  const before = await identityOf(path)
  if (before === undefined) throw noDirectory(path, 'ENOENT')
  const result = await work(path)
  const after = await identityOf(path)
  if (after !== undefined && after !== before) throw unsafe(path, 'it was replaced while it was in use')
  return result
}

/** Device and inode of a directory; `undefined` if it doesn't exist. */
async function identityOf(path: string): Promise<string | undefined> {
  try {
    const found = await lstat(path, { bigint: true })
    if (!found.isDirectory()) throw noDirectory(path, 'ENOTDIR')
    return `${found.dev} ${found.ino}`
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined
    throw error
  }
}

function noDirectory(path: string, code: string): NodeJS.ErrnoException {
  return Object.assign(new Error(`${code}: no directory, open '${path}'`), { code, syscall: 'open', path })
}
