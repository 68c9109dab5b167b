// Runs the named benchmarks, or all of them. Each compares with a baseline in the same run; only the ratios can be compared with
// those of other machines.
//   npm run bench -- request expiry
//   npm run -s bench -- --json request > request.json

import { fork } from 'node:child_process'
import { once } from 'node:events'
import { parseArguments } from './harness/arguments.js'
import type { Result } from './harness/result.js'
import { SUITES } from './harness/suites.js'
import { table } from './harness/table.js'

const { isJson, names } = parseArguments(SUITES)

const all: Record<string, Result[]> = {}
for (const name of names) {
  if (!isJson) console.log(`\n${name}: ${SUITES[name]}\n`)
  const results = await suite(name)
  all[name] = results
  if (!isJson) console.log(table(results))
}
if (!isJson && names.length > 1) {
  console.log('\nAll limits\n')
  console.log(table(Object.values(all).flatMap(results => results.filter(({ goal }) => goal !== null))))
}
if (isJson) console.log(JSON.stringify(all, null, 2))

async function suite(name: string): Promise<Result[]> {
  const child = fork(new URL('suite.ts', import.meta.url), [name], {
    execArgv: ['--import', 'tsx', '--expose-gc', '--max-old-space-size=16000'],
    stdio: ['ignore', 2, 'inherit', 'ipc'],
  })
  let results: Result[] | undefined
  child.once('message', message => {
    results = message as Result[]
  })
  const [code] = (await once(child, 'exit')) as [number | null]
  if (results === undefined) throw new Error(`The suite ${name} ended with ${code}, without results`)
  return results
}
