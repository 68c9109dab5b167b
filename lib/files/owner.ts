import { readFileSync, readlinkSync } from 'node:fs'
import { lstat, readFile } from 'node:fs/promises'
import { hostname } from 'node:os'
import { basename, join } from 'node:path'
import { statOf } from '../util/process-stat.js'

/** The content of `owner.json`: which process and instance the directory of an instance belongs to. */
export interface Owner {
  /** The version of this format. Also identifies the directory as one of this library. */
  readonly gradioState: 1
  /** The UUID of the instance, which is also the name of its directory. */
  readonly instance: string
  readonly host: string
  /** The boot id, which changes with each boot of the machine; empty if the system has none. */
  readonly boot: string
  /** The PID namespace: processes of two containers may have the same pid. */
  readonly namespace: string
  readonly pid: number
  /** The start time of the process in clock ticks since boot, which detects a reused pid; empty if unknown. */
  readonly started: string
}

export const OWNER_FILE = 'owner.json'
export const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/

/** Describes this process as the owner of an instance. */
export function ownerOf(instance: string): Owner {
  return {
    gradioState: 1,
    instance,
    host: hostname(),
    boot: readOrEmpty(() => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()),
    namespace: readOrEmpty(() => readlinkSync('/proc/self/ns/pid')),
    pid: process.pid,
    started: statOf(process.pid)?.started ?? '',
  }
}

/** Reads the owner of an instance's directory; `undefined` unless the directory is certainly one of this library. */
export async function readOwner(directory: string): Promise<{ owner: Owner; leasedAt: number } | undefined> {
  try {
    const file = join(directory, OWNER_FILE)
    if (!(await lstat(directory)).isDirectory()) return undefined
    const found = await lstat(file)
    if (!found.isFile()) return undefined
    const owner = JSON.parse(await readFile(file, 'utf8')) as Partial<Owner> | null
    const isOurs = owner?.gradioState === 1 && isOwner(owner) && instanceNameOf(directory) === owner.instance
    return isOurs ? { owner: owner as Owner, leasedAt: found.mtimeMs } : undefined
  } catch {
    // Not readable, not JSON, or removed in the meantime: the directory must not be touched.
    return undefined
  }
}

/**
 * Whether the process that created an instance's directory is alive. On the same machine and in the same PID namespace, the pid
 * and the start time decide. Otherwise, as in another container or on another machine with the same volume, the lease decides.
 * @param leaseAge milliseconds since the owner last renewed its lease
 */
export function isAlive(owner: Owner, self: Owner, leaseAge: number): boolean {
  const isVisible = owner.host === self.host && owner.boot === self.boot && owner.namespace === self.namespace
  if (isVisible && self.started !== '') return statOf(owner.pid)?.started === owner.started
  if (isVisible && !processExists(owner.pid)) return false
  return leaseAge < LEASE_DURATION
}

/** An owner renews its lease, the mtime of `owner.json`, at this interval; milliseconds. */
export const RENEWAL_INTERVAL = 10_000
/** A lease expires after this time; milliseconds. */
const LEASE_DURATION = 60_000

function isOwner(owner: Partial<Owner>): boolean {
  const { instance, host, boot, namespace, pid, started } = owner
  const texts = [instance, host, boot, namespace, started]
  return (
    texts.every(text => typeof text === 'string') &&
    UUID.test(instance as string) &&
    Number.isSafeInteger(pid)
  )
}

/** A directory has the name of its instance, or `.<instance>.new` while it is incomplete. */
function instanceNameOf(directory: string): string {
  return basename(directory).replace(/^\.(.*)\.new$/, '$1')
}

function processExists(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

function readOrEmpty(read: () => string): string {
  try {
    return read()
  } catch {
    return ''
  }
}
