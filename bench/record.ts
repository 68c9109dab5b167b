// Runs the named suites, or all of them, one after another, and stores their results in bench/results/:
//   npm run bench:record -- request expiry

import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { cpus, release, totalmem, type } from 'node:os'
import { fileURLToPath } from 'node:url'
import { SUITES } from './harness/suites.js'

const folder = fileURLToPath(new URL('results/', import.meta.url))
const names = process.argv.slice(2)

for (const name of names.length > 0 ? names : Object.keys(SUITES)) {
  console.error(`${name} …`)
  writeFileSync(`${folder}${name}.json`, run('run.ts', '--json', name))
}
const [{ model = 'unknown' } = {}] = cpus()
const machine = {
  cpu: model,
  cores: cpus().length,
  memory: `${Math.round(totalmem() / 1024 ** 3)} GiB`,
  system: `${type()} ${release()}`,
  node: process.version,
  date: new Date().toISOString().slice(0, 10),
}
writeFileSync(`${folder}machine.json`, `${JSON.stringify(machine, null, 2)}\n`)

function run(script: string, ...args: string[]): string {
  const program = fileURLToPath(new URL(script, import.meta.url))
  return execFileSync(process.execPath, ['--import', 'tsx', program, ...args], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
    maxBuffer: 2 ** 26,
  })
}
