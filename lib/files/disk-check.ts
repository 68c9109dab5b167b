import { attemptEach } from './disk.js'
import type { FileIndex } from './file-index.js'
import { hashOf, isSameFile, type OpenFile, versionOf } from './open-file.js'
import type { Publisher } from './publisher.js'
import { chargeOf, chargeOfPlace, type FileLimits } from './quota.js'
import { Readers } from './readers.js'
import type { SessionDirectory } from './session-directory.js'
import type { OpenStoredFile, StoredFile } from './stored-file.js'

/** What {@link DiskCheck} compares and changes. */
export interface DiskCheckContext {
  readonly directory: SessionDirectory
  readonly index: FileIndex
  readonly publisher: Publisher
  readonly limits: FileLimits
  /** Called when a file isn't at its place any more. The app may have renamed it within the session's directory. */
  onGone(): void
}

/**
 * Compares the records of a session's files with the disk: the app may remove, move, replace or edit the files that it was given. The
 * record of a file that is gone is removed; that of a file that has changed gets its new hash and size.
 */
export class DiskCheck {
  readonly #context: DiskCheckContext

  constructor(context: DiskCheckContext) {
    this.#context = context
  }

  /** @returns whether the file exists */
  async check(file: StoredFile): Promise<boolean> {
    const { directory } = this.#context
    const [version] = await directory.versionsOf(file.place.directory, [file.name])
    return this.#checkVersion(file, version)
  }

  async checkAll(): Promise<void> {
    const { directory, index } = this.#context
    for (const [number, files] of byDirectory(index.list)) {
      const versions = await directory.versionsOf(
        number,
        files.map(({ name }) => name),
      )
      const [error] = await attemptEach([...files.entries()], async ([i, file]) => {
        await this.#checkVersion(file, versions[i])
      })
      if (error !== undefined) throw error
    }
  }

  /** Like {@link check}. The caller has the lock of the content. */
  async checkLocked(file: StoredFile): Promise<boolean> {
    const { directory, index } = this.#context
    if (!index.has(file)) return false
    const opened = await directory.open(file.place, file.name)
    if (opened === undefined) {
      await this.#remove(file)
      return false
    }
    try {
      const version = versionOf(opened.stats)
      // If the app is writing to the file, the version is outdated when the file is hashed. Then the next check hashes it again.
      if (version !== file.version) await this.#change(file, version, await hashOf(opened))
    } finally {
      await opened.handle.close()
    }
    return true
  }

  /** Opens a file for reading, after its record was compared with what is read. `undefined` if it doesn't exist. */
  async open(file: StoredFile): Promise<OpenStoredFile | undefined> {
    const { name } = file
    for (let attempts = 3; ; attempts--) {
      const opened = await this.#open(file)
      const isCurrent = opened !== undefined && versionOf(opened.stats) === file.version
      if (isCurrent || (opened !== undefined && attempts === 0))
        return { ...opened, name, sha256: isCurrent ? file.sha256 : undefined }
      await opened?.close()
      if (!(await this.#checkExclusively(file))) return undefined
    }
  }

  /** Called when a file was removed from the index, and from the disk. The caller has the lock of the content. */
  async uncount(file: StoredFile): Promise<void> {
    const { readers } = file.shared ?? file
    const bytes = (await this.#release(file)) + chargeOfPlace(file.place)
    readers.whenNone(() => this.#context.limits.total.release(bytes))
  }

  /** Opens what is at a file's place. It counts as being read before that, since it may be deleted while it is being opened. */
  async #open(file: StoredFile): Promise<Omit<OpenStoredFile, 'name' | 'sha256'> | undefined> {
    const { readers } = file.shared ?? file
    readers.enter()
    let opened: OpenFile | undefined
    try {
      opened = await this.#context.directory.open(file.place, file.name)
    } finally {
      if (opened === undefined) readers.leave()
    }
    if (opened === undefined) return undefined
    const { handle, stats } = opened
    return { handle, stats, close: () => handle.close().finally(() => readers.leave()) }
  }

  async #checkVersion(file: StoredFile, version: string | undefined): Promise<boolean> {
    return version === file.version || this.#checkExclusively(file)
  }

  #checkExclusively(file: StoredFile): Promise<boolean> {
    return this.#context.publisher.exclusively(file, () => this.checkLocked(file))
  }

  async #change(file: StoredFile, version: string, content: { sha256: string; size: number }): Promise<void> {
    const { index, limits } = this.#context
    if (!index.has(file)) return
    limits.total.add(chargeOf(content.size))
    if (isSameFile(version, file.version)) {
      limits.total.release(await this.#release(file))
    } else {
      await this.uncount(file)
      limits.total.add(chargeOfPlace(file.place))
      file.readers = new Readers()
    }
    index.change(file, { ...content, version })
  }

  async #remove(file: StoredFile): Promise<void> {
    const { directory, index, onGone } = this.#context
    index.hide(file)
    index.delete(file)
    directory.release(file.place)
    onGone()
    await this.uncount(file)
  }

  /** Ends the sharing of a file's bytes. @returns the bytes that are not used any more, as far as they are counted */
  async #release(file: StoredFile): Promise<number> {
    const { shared } = file
    if (shared === undefined) return chargeOf(file.size)
    const isUnused = await this.#context.publisher.release(shared)
    file.shared = undefined
    return isUnused ? chargeOf(shared.size) : 0
  }
}

function byDirectory(files: readonly StoredFile[]): Map<number, StoredFile[]> {
  const groups = new Map<number, StoredFile[]>()
  for (const file of files) {
    const group = groups.get(file.place.directory)
    if (group === undefined) groups.set(file.place.directory, [file])
    else group.push(file)
  }
  return groups
}
