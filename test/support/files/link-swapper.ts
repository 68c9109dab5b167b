import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import type { TestContext } from 'node:test'

/** A process that replaces files and directories by links, and back, as fast as it can. */
export class LinkSwapper {
  readonly #process: ChildProcess
  swaps = 0

  /** @param elsewhere the directory that the links lead to. Files are linked to the file `a.txt` in it */
  constructor(t: TestContext, elsewhere: string) {
    this.#process = spawn(process.execPath, ['-e', SWAPPER, elsewhere], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    })
    t.after(() => this.#process.kill())
  }

  /** Swaps paths relative to `directory`, even when that is moved, until the next call. Without paths, it stops. */
  async swap(directory: string, paths: readonly string[]): Promise<void> {
    this.#process.send({ directory, paths })
    const [swaps] = (await once(this.#process, 'message')) as [number]
    this.swaps += swaps
  }
}

const SWAPPER = `
const { lstatSync, renameSync, symlinkSync, unlinkSync } = require('node:fs')
const elsewhere = process.argv[1]
let paths = []
let swaps = 0
process.on('message', message => {
  const isIdle = paths.length === 0
  process.chdir('/')
  try {
    process.chdir(message.directory)
    paths = message.paths
  } catch {
    paths = []
  }
  process.send(swaps)
  swaps = 0
  if (isIdle && paths.length > 0) swap()
})
function swap() {
  for (let times = 0; times < 20; times++) for (const path of paths) {
    try {
      const target = path.endsWith('.txt') ? elsewhere + '/a.txt' : elsewhere
      renameSync(path, path + '-aside')
      symlinkSync(target, path)
      swaps++
    } catch {}
    try {
      if (lstatSync(path).isSymbolicLink()) unlinkSync(path)
    } catch {}
    try {
      renameSync(path + '-aside', path)
    } catch {}
  }
  if (paths.length > 0) setImmediate(swap)
}
`
