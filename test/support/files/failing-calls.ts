import fs, { readlinkSync } from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import type { TestContext } from 'node:test'
import { deferred } from '../sessions/harness.ts'

type Call =
  | 'link'
  | 'lstat'
  | 'mkdir'
  | 'open'
  | 'readdir'
  | 'rename'
  | 'rmdir'
  | 'unlink'
  | 'utimes'
  | 'writeFile'

/** Makes a call to the file system fail for each path that contains `part`, until the returned function is called. */
export function failing(t: TestContext, call: Call, part: string, code = 'EACCES'): () => void {
  return before(t, call, part, () => {
    throw Object.assign(new Error(`${code}: ${call}`), { code })
  })
}

/** Makes a call to the file system wait for each path that contains `part`. */
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
    if (pathOf(`${args[0]}`).includes(part)) await task()
    return real(...args)
  }
  const { mock } = t.mock.method(fs.promises, call, wrapped as never)
  syncBuiltinESMExports()
  const restore = () => {
    mock.restore()
    syncBuiltinESMExports()
  }
  t.after(restore)
  return restore
}

/** The path of an entry of a directory that is open. */
function pathOf(path: string): string {
  return path.replace(/^\/proc\/self\/fd\/\d+/, descriptor => readlinkSync(descriptor))
}
