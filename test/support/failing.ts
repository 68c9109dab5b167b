import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import type { TestContext } from 'node:test'
import { disk } from '../../lib/files/disk-thread.ts'
import type { Trip, TripError } from '../../lib/files/trips.ts'
import { deferred } from './harness.ts'

type Call = 'link' | 'lstat' | 'mkdir' | 'readdir' | 'rename' | 'rm' | 'unlink' | 'utimes'

/** Lets a call to the file system fail for each path that contains `part`, until the given function is called. */
export function failing(t: TestContext, call: Call, part: string, code = 'EACCES'): () => void {
  return before(t, call, part, () => {
    throw Object.assign(new Error(`${code}: ${call}`), { code })
  })
}

/** Lets a call to the file system wait for each path that contains `part`. */
export function pausing(t: TestContext, call: Call, part: string) {
  const reached = deferred()
  const resumed = deferred()
  before(t, call, part, () => {
    reached.resolve()
    return resumed.promise
  })
  return { reached: reached.promise, resume: () => resumed.resolve() }
}

/** Runs `task` before a call for a path that contains `part`. */
function before(t: TestContext, call: Call, part: string, task: () => void | Promise<void>): () => void {
  const real = fs.promises[call] as (...args: unknown[]) => Promise<unknown>
  const wrapped = async (...args: unknown[]) => {
    if (`${args[0]}`.includes(part)) await task()
    return real(...args)
  }
  const { mock } = t.mock.method(fs.promises, call, wrapped as never)
  syncBuiltinESMExports()
  const run = disk.run.bind(disk)
  const inThread = t.mock.method(disk, 'run', async (trip: Trip) => {
    const done = trip.findIndex(([name, path]) => name === call && `${path}`.includes(part))
    if (done < 0) return run(trip)
    await run(trip.slice(0, done))
    try {
      await task()
    } catch (error) {
      throw Object.assign(error as TripError, { done })
    }
    return run(trip.slice(done))
  })
  const restore = () => {
    mock.restore()
    inThread.mock.restore()
    syncBuiltinESMExports()
  }
  t.after(restore)
  return restore
}
