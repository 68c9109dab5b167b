// Runs one suite in a process of its own, so that the memory and compiled code of others don't affect it. Started by run.ts.

import type { Result } from './harness/result.js'

const [name] = process.argv.slice(2)
const { run } = (await import(`./${name}.ts`)) as { run(): Promise<Result[]> }
const results = await run()
process.send?.(results, () => process.exit())
