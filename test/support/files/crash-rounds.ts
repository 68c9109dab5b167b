import assert from 'node:assert/strict'
import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, utimesSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { buildSync } from 'esbuild'
import { openCache } from './open-cache.ts'

export interface CrashReport {
  /** How many kills left something to remove. */
  readonly withOrphans: number
  /** How many left an empty directory that a start only removes when it is a minute old. */
  readonly unfinished: number
  /** How often the other process found all its files unchanged. */
  readonly looks: number
}

/** Kills processes under load at random times, one after another; another process runs beside them the whole time. */
export async function crashRounds(scratch: string, rounds: number): Promise<CrashReport> {
  const cacheDir = join(scratch, 'cache')
  const bystander = spawn(process.execPath, [bundle(scratch, 'cache-process'), cacheDir], STDIO)
  const worker = bundle(scratch, 'crash-worker')
  let withOrphans = 0
  let unfinished = 0
  try {
    const own = basename(dirname(dirname(dirname(await line(bystander)))))
    const others = () => readdirSync(cacheDir).filter(name => name !== own)
    for (let round = 0; round < rounds; round++) {
      const child = spawn(process.execPath, [worker, cacheDir, round % 2 === 0 ? 'session' : 'cache'], STDIO)
      await line(child)
      await sleep(Math.random() * 150)
      child.kill('SIGKILL')
      await once(child, 'exit')
      if (others().length > 0) withOrphans++
      await restart(cacheDir)
      for (const left of others()) {
        assert.match(left, /^\.[0-9a-f-]{36}\.new$/, `round ${round}`)
        unfinished++
        utimesSync(join(cacheDir, left), 1, 1)
      }
      await restart(cacheDir)
      assert.deepEqual(others(), [], `round ${round}`)
      assert.equal(bystander.exitCode, null)
    }
    const looks = line(bystander)
    bystander.stdin?.end()
    const report = { withOrphans, unfinished, looks: Number(await looks) }
    assert.deepEqual(readdirSync(cacheDir), [])
    return report
  } finally {
    bystander.kill('SIGKILL')
  }
}

const STDIO: SpawnOptions = { stdio: ['pipe', 'pipe', 'inherit'] }

async function restart(cacheDir: string): Promise<void> {
  await openCache(cacheDir).close()
}

async function line(child: ChildProcess): Promise<string> {
  const ended = once(child, 'exit').then(([code]) => assert.fail(`Expected a line, got the end (${code})`))
  const [chunk] = (await Promise.race([once(child.stdout!, 'data'), ended])) as [Buffer]
  ended.catch(() => {})
  return chunk.toString().trim()
}

/** As one bundle, it starts in a fraction of the time. */
function bundle(directory: string, name: string): string {
  const outfile = join(directory, `${name}.mjs`)
  const entry = fileURLToPath(new URL(`${name}.ts`, import.meta.url))
  const banner = {
    js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url)",
  }
  buildSync({ entryPoints: [entry], outfile, bundle: true, platform: 'node', format: 'esm', banner })
  return outfile
}
