import { closeSync, constants, open, type Stats } from 'node:fs'
import { lstat, mkdir, readdir, realpath, rmdir, unlink, writeFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { attemptEach, codeOf, PRIVATE_DIRECTORY, unlessCode, unsafe } from './disk.js'

/**
 * Opens directories that others may write to. An app may be made to put a symbolic link in place of a directory (by an
 * archive that it unpacks, say), also between a check and the call that relies on it. On Linux, `/proc/self/fd/N/name` is
 * an entry of the directory that was opened, whatever its path leads to by now. Elsewhere, the directory is compared
 * before and after: a swap is detected, but not prevented.
 */
export class DirectoryAccess {
  #byDescriptor = false

  /** Finds out whether entries can be reached by a descriptor, by creating one in a directory of ours. */
  async probe(directory: string): Promise<void> {
    try {
      await useDescriptor(directory, async base => {
        await writeFile(join(base, PROBE), '', { flag: 'wx' })
        await unlink(join(directory, PROBE))
      })
      this.#byDescriptor = true
    } catch {
      // No /proc, as outside of Linux.
    }
  }

  /**
   * Runs `work` with a directory. Everything that `work` begins has to have ended when it returns: the number of a closed
   * descriptor may become another directory's.
   * @param at by which path it is opened; of this, only the last part is known to be no link
   * @throws ENOENT when there is none, ENOTDIR when a link or a file is in its place
   */
  use<T>(path: string, work: (directory: DirectoryHandle) => Promise<T>, at = path): Promise<T> {
    const run = this.#byDescriptor ? useDescriptor : useUnchanged
    return run(at, base => work(new DirectoryHandle(this, path, base)))
  }

  /** Removes a directory with everything in it, or what is in its place. Its parent must be nobody else's. */
  async removeTree(path: string): Promise<void> {
    const parent = await realpath(dirname(path)).catch(unlessCode('ENOENT'))
    if (parent !== undefined) await this.use(parent, directory => directory.remove(basename(path)))
  }
}

const PROBE = '.probe'

/** A directory that is open: its entries are reached without its path. */
export class DirectoryHandle {
  readonly path: string
  readonly #access: DirectoryAccess
  readonly #base: string

  constructor(access: DirectoryAccess, path: string, base: string) {
    this.#access = access
    this.path = path
    this.#base = base
  }

  /** The path by which system calls reach an entry. */
  at(name: string): string {
    return join(this.#base, name)
  }

  entries() {
    return this.#named(readdir(this.#base, { withFileTypes: true }))
  }

  /** What an entry is, links not followed; `undefined` when there is none. */
  find(name: string): Promise<Stats | undefined> {
    return this.#named(lstat(this.at(name))).catch(unlessCode('ENOENT'))
  }

  /** Runs `work` with a directory in this one, as {@link DirectoryAccess.use} does. */
  use<T>(name: string, work: (directory: DirectoryHandle) => Promise<T>): Promise<T> {
    return this.#named(this.#access.use(join(this.path, name), work, this.at(name)))
  }

  mkdir(name: string): Promise<void> {
    return this.#named(mkdir(this.at(name), PRIVATE_DIRECTORY))
  }

  rmdir(name: string): Promise<void> {
    return this.#named(rmdir(this.at(name)))
  }

  /** Removes a file, or a link. */
  unlink(name: string): Promise<void> {
    return this.#named(unlink(this.at(name)))
  }

  /** Removes a directory with everything in it, or what is in its place. What isn't there is removed. */
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
    // One after the other: each has as many open as it has levels.
    for (const { name } of entries.filter(entry => entry.isDirectory())) await this.remove(name)
    for (const error of errors) if (codeOf(error) !== 'ENOENT') throw error
  }

  /** Runs a call whose errors are to tell the path, and not the descriptor. */
  async #named<T>(call: Promise<T>): Promise<T> {
    try {
      return await call
    } catch (error) {
      const { path } = error as NodeJS.ErrnoException
      if (error instanceof Error && (path === this.#base || path?.startsWith(join(this.#base, '/')))) {
        const named = join(this.path, path.slice(this.#base.length))
        error.message = error.message.replace(path, () => named)
        Object.assign(error, { path: named })
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
    // Nothing was written by it that this could have to wait for.
    closeSync(descriptor)
  }
}

async function useUnchanged<T>(path: string, work: (base: string) => Promise<T>): Promise<T> {
  const before = await identityOf(path)
  if (before === undefined) throw noDirectory(path, 'ENOENT')
  const result = await work(path)
  const after = await identityOf(path)
  if (after !== undefined && after !== before) throw unsafe(path, 'another one came into its place')
  return result
}

/** Tells a directory from another one; `undefined` when it isn't there. */
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
