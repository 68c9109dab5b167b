import { createHash } from 'node:crypto'
import { constants, type Stats } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { pipeline } from 'node:stream/promises'
import { PRIVATE_FILE, unlessCode, unlinkIfThere } from './disk.js'

/** A regular file that is open for reading. It has to be closed. */
export interface OpenFile {
  readonly handle: FileHandle
  /** As of when it was opened. */
  readonly stats: Stats
}

/**
 * Opens a regular file for reading, and doesn't follow a link in the last part of the path. Doesn't wait for a pipe.
 * @returns `undefined` if there is no regular file
 */
export async function openFile(path: string): Promise<OpenFile | undefined> {
  // Windows has neither of the two flags.
  const { O_RDONLY, O_NOFOLLOW = 0, O_NONBLOCK = 0 } = constants
  const handle = await open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK).catch(unlessCode(...NO_FILE))
  if (handle === undefined) return undefined
  try {
    const stats = await handle.stat()
    if (stats.isFile()) return { handle, stats }
  } catch (error) {
    await handle.close()
    throw error
  }
  await handle.close()
  return undefined
}

/** ELOOP: a link; FreeBSD reports EMLINK. ENXIO: a socket. EISDIR: a directory, on Windows. */
const NO_FILE = ['ENOENT', 'ENOTDIR', 'ELOOP', 'EMLINK', 'ENXIO', 'EISDIR']

/**
 * Identifies what a file contains without reading it: another file at the same path has another inode, and a file that was
 * written to has another mtime. Links to the file don't change it.
 */
export function versionOf({ dev, ino, size, mtimeMs }: Stats): string {
  return [dev, ino, size, mtimeMs].join(' ')
}

/** Whether two versions are of one file that was written to, and not of one that has replaced the other. */
export function isSameFile(version: string, other: string): boolean {
  const inodeOf = (version: string) => version.split(' ', 2).join(' ')
  return inodeOf(version) === inodeOf(other)
}

/** Hashes a file, as long as it was when it was opened. */
export async function hashOf({ handle, stats }: OpenFile): Promise<{ sha256: string; size: number }> {
  const hash = createHash('sha256')
  const buffer = Buffer.allocUnsafeSlow(CHUNK_SIZE)
  const end = stats.size
  let size = 0
  while (size < end) {
    const { bytesRead } = await handle.read(buffer, 0, Math.min(CHUNK_SIZE, end - size), size)
    // It became shorter.
    if (bytesRead === 0) break
    hash.update(buffer.subarray(0, bytesRead))
    size += bytesRead
  }
  return { sha256: hash.digest('hex'), size }
}

/** Copies an open file to `destination`. Fails if that exists. */
export async function copyTo(destination: string, { handle }: OpenFile): Promise<void> {
  const target = await open(destination, 'wx', PRIVATE_FILE)
  try {
    await pipeline(handle.createReadStream({ start: 0, autoClose: false }), target.createWriteStream())
  } catch (error) {
    await unlinkIfThere(destination)
    throw error
  }
}

/** Hashing this many bytes blocks the event loop for less than a millisecond. */
const CHUNK_SIZE = 256 * 1024
