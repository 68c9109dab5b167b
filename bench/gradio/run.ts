// Compares with Gradio: the same work in the same run. Takes about a quarter of an hour, and installs Gradio the first time.
//   npm run bench:gradio
//   npm run -s bench:gradio -- --json > bench/results/gradio.json

import { parseArguments } from '../harness/arguments.js'
import type { Result } from '../harness/result.js'
import { table } from '../harness/table.js'
import { type Contender, contendersOf } from './contenders.js'
import { pages } from './pages.js'
import { sessions } from './sessions.js'
import { Missing, setUp } from './setup.js'
import { sweep } from './sweep.js'
import { uploads } from './uploads.js'

// Each process that is launched has a listener for the exit of this one.
process.setMaxListeners(0)

const SUITES: Readonly<Record<string, (contenders: readonly [Contender, Contender]) => Promise<Result[]>>> = {
  sessions,
  uploads,
  pages,
  sweep,
}

// Launched processes end with this one, but only if it exits by itself.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1))

const { isJson, names } = parseArguments(SUITES)

try {
  const contenders = contendersOf(await setUp())
  const results: Result[] = []
  for (const name of names) {
    console.error(`${name} …`)
    const found = (await SUITES[name]?.(contenders)) ?? []
    // Printed at once, since a later one may fail.
    if (!isJson) console.log(`\n${table(found)}\n`)
    results.push(...found)
  }
  if (isJson) console.log(JSON.stringify({ gradio: results }, null, 2))
  process.exit()
} catch (error) {
  if (!(error instanceof Missing)) throw error
  console.error(error.message)
  process.exit(1)
}
