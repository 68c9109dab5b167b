import cluster from 'node:cluster'
import { createHash } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import type { AddressInfo, Server } from 'node:net'
import { type ProcessStat, statOf } from '../util/process-stat.js'
import { isRandomToken } from './token.js'

/**
 * Marks new tokens with the worker of `node:cluster` that creates them, so that another worker that receives one of them can tell that
 * both serve the same users. One such token is certain evidence: workers that share a port receive connections in turn, so sessions can't
 * be sticky. Sticky workers have ports of their own, or receive connections from the primary without listening.
 *
 * Only for Linux, where a worker can read when its siblings were started.
 */
export class WorkerTags {
  readonly #pid: number
  readonly #warn: () => void
  readonly #statOf: (pid: number) => ProcessStat | undefined
  readonly #self: ProcessStat | undefined
  /** When the primary was started. */
  readonly #primaryStarted: string | undefined

  /** @param read reads a process; `undefined` for one that is dead */
  constructor(warn: () => void, pid: number, read: (pid: number) => ProcessStat | undefined) {
    this.#warn = warn
    this.#pid = pid
    this.#statOf = read
    this.#self = read(pid)
    this.#primaryStarted = this.#self && read(this.#self.parent)?.started
  }

  /** `undefined` in a process that isn't a worker. */
  static ofThisProcess(warn: () => void): WorkerTags | undefined {
    return cluster.isWorker ? new WorkerTags(warn, process.pid, statOf) : undefined
  }

  /** The end of a new token for a request. */
  tagFor(req: IncomingMessage): string {
    const key = this.#keyOf(req)
    return key === undefined || this.#self === undefined ? '' : tag(key, this.#pid, this.#self.started)
  }

  /** Checks the token that a request has sent. */
  check(token: string, req: IncomingMessage): void {
    const sent = token.slice(-TAG)
    const key = isRandomToken(token) ? this.#keyOf(req) : undefined
    if (key === undefined || this.#self === undefined) return
    const pid = pidIn(sent, key)
    const stat = pid === this.#pid ? undefined : this.#statOf(pid)
    if (stat === undefined || stat.parent !== this.#self.parent || tag(key, pid, stat.started) !== sent)
      return
    // A worker that replaces another is started later, and both may serve users for a while.
    if (Math.abs(Number(stat.started) - Number(this.#self.started)) <= TOGETHER) this.#warn()
  }

  /** What workers of the same cluster with the same port have in common; `undefined` where connections don't come from the cluster. */
  #keyOf({ socket }: IncomingMessage): Buffer | undefined {
    const address = (socket as { server?: Server | null }).server?.address()
    if (!address || this.#primaryStarted === undefined) return undefined
    const port = (address as AddressInfo).port ?? address
    return hash(`${this.#self?.parent} ${this.#primaryStarted} ${port}`)
  }
}

/** Encrypts a pid, and proves it. */
function tag(key: Buffer, pid: number, started: string): string {
  const bytes = hash(`${key.toString('hex')} ${pid} ${started}`).subarray(0, TAG_BYTES)
  bytes.writeUInt32BE((pid ^ key.readUInt32BE()) >>> 0)
  return bytes.toString('base64url')
}

function pidIn(tag: string, key: Buffer): number {
  const bytes = Buffer.alloc(TAG_BYTES)
  bytes.write(tag, 'base64url')
  return (bytes.readUInt32BE() ^ key.readUInt32BE()) >>> 0
}

function hash(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}

const TAG_BYTES = 9
/** In base64url. */
const TAG = 12
/** Workers that were started within 10 s of one another were started together; in clock ticks. */
const TOGETHER = 1_000
