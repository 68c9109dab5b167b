import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { compare, type Result, upTo } from './harness/result.js'
import { inTurns } from './harness/turns.js'

const ROUNDS = 21
const PROJECT = fileURLToPath(new URL('..', import.meta.url))
const PEERS = 'express-session + multer'

export async function run(): Promise<Result[]> {
  const { ours, theirs } = await inTurns(ROUNDS, {
    ours: () => importTime(['gradio-state']),
    theirs: () => importTime(['express-session', 'multer']),
  })
  return [
    compare({
      metric: 'import in a new process',
      unit: 'ms',
      ours,
      baseline: { name: PEERS, rounds: theirs },
      goal: upTo(80, 'ms'),
    }),
  ]
}

/** In milliseconds. */
function importTime(packages: readonly string[]): number {
  const program = `
    const begun = performance.now()
    ${packages.map(name => `await import('${name}')`).join('\n')}
    console.log(performance.now() - begun)`
  return Number(node('--input-type=module', '-e', program))
}

function node(...args: string[]): string {
  return execFileSync(process.execPath, args, { cwd: PROJECT, encoding: 'utf8' })
}
