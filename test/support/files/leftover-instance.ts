import { randomUUID } from 'node:crypto'
import { mkdirSync, readFileSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { OWNER_FILE, type Owner, ownerOf } from '../../../lib/files/owner.ts'

/** A process on this machine that can't be alive: pids are never that large. */
export const DEAD = { pid: 2 ** 30 }

/** Writes the directory of an instance as another process would have left it. @returns its path */
export function leaveInstance(
  cacheDir: string,
  { leaseAge = 0, name, ...changes }: Partial<Owner> & { leaseAge?: number; name?: string } = {},
): string {
  const owner = { ...ownerOf(changes.instance ?? randomUUID()), ...changes }
  const folder = join(cacheDir, name ?? owner.instance)
  mkdirSync(join(folder, 'a-session/sha256'), { recursive: true })
  for (const part of ['.incoming', '.trash', 'blobs']) mkdirSync(join(folder, part))
  for (const file of ['a-session/sha256/a.txt', '.incoming/half', '.trash/gone', 'blobs/sha256'])
    writeFileSync(join(folder, file), 'bytes')
  writeFileSync(join(folder, OWNER_FILE), JSON.stringify(owner))
  ageLease(folder, leaseAge)
  return folder
}

/** Makes the lease this many seconds old. */
export function ageLease(folder: string, seconds: number): void {
  const then = Date.now() / 1000 - seconds
  utimesSync(join(folder, OWNER_FILE), then, then)
}

export function ownerIn(folder: string): Owner {
  return JSON.parse(readFileSync(join(folder, OWNER_FILE), 'utf8')) as Owner
}
