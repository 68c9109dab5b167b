import { readFileSync, readlinkSync } from 'node:fs'
import { lstat, readFile } from 'node:fs/promises'
import { hostname } from 'node:os'
import { basename, join } from 'node:path'

/** Who an instance's directory belongs to, as `owner.json` in it tells. */
export interface Owner {
  /** The format of this file; also the mark that the directory is ours. */
  readonly gradioState: 1
  /** The uuid of the instance, and the name of its directory. */
  readonly instance: string
  readonly host: string
  /** Changes with each boot of the machine; empty where the system doesn't tell. */
  readonly boot: string
  /** In which set of processes the pid is unique: processes of two containers may both be pid 1. */
  readonly namespace: string
  readonly pid: number
  /** When the process was started, in the system's own reckoning: tells a recycled pid. */
  readonly started: string
}

export const OWNER_FILE = 'owner.json'
export const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/

/** The owner that this process is. */
export function ownerOf(instance: string): Owner {
  return {
    gradioState: 1,
    instance,
    host: hostname(),
    boot: tell(() => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()),
    namespace: tell(() => readlinkSync('/proc/self/ns/pid')),
    pid: process.pid,
    started: startOf(process.pid) ?? '',
  }
}

/** Reads the owner of an instance's directory; `undefined` for any that isn't ours beyond doubt. */
export async function readOwner(directory: string): Promise<{ owner: Owner; leasedAt: number } | undefined> {
  try {
    const file = join(directory, OWNER_FILE)
    if (!(await lstat(directory)).isDirectory()) return undefined
    const found = await lstat(file)
    if (!found.isFile()) return undefined
    const owner = JSON.parse(await readFile(file, 'utf8')) as Partial<Owner> | null
    const isOurs = owner?.gradioState === 1 && isOwner(owner) && nameOf(directory) === owner.instance
    return isOurs ? { owner: owner as Owner, leasedAt: found.mtimeMs } : undefined
  } catch {
    // Not readable, not JSON, gone meanwhile: in no case is it ours to remove.
    return undefined
  }
}

/**
 * Whether the process that created an instance's directory is alive. Where its processes can be seen from here, its pid and start time tell;
 * elsewhere (another container or machine on one volume) its lease does.
 * @param leaseAge milliseconds since the owner last touched its file
 */
export function isAlive(owner: Owner, self: Owner, leaseAge: number): boolean {
  const isVisible = owner.host === self.host && owner.boot === self.boot && owner.namespace === self.namespace
  if (isVisible && self.started !== '') return startOf(owner.pid) === owner.started
  if (isVisible && !exists(owner.pid)) return false
  return leaseAge < LEASE
}

/** How often an owner touches its file, and when it is taken for dead where only that tells; milliseconds. */
export const RENEWAL = 10_000
const LEASE = 60_000

function isOwner(owner: Partial<Owner>): boolean {
  const { instance, host, boot, namespace, pid, started } = owner
  const texts = [instance, host, boot, namespace, started]
  return (
    texts.every(text => typeof text === 'string') &&
    UUID.test(instance as string) &&
    Number.isSafeInteger(pid)
  )
}

/** A directory is called like its instance, or `.<instance>.new` before it is whole. */
function nameOf(directory: string): string {
  return basename(directory).replace(/^\.(.*)\.new$/, '$1')
}

/** Field 22 of `/proc/<pid>/stat` (proc(5)), counted from behind the name, which may hold spaces and parentheses. */
function startOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    // A zombie is dead, and may stay for ever where nobody waits for it, as in a container without an init.
    return fields[0] === 'Z' || fields[0] === 'X' ? undefined : fields[19]
  } catch {
    return undefined
  }
}

function exists(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

function tell(read: () => string): string {
  try {
    return read()
  } catch {
    return ''
  }
}
