// Runs for any time what the tests do for seconds:
//   node --import tsx test/files/run.ts dedup 60     sixty seconds of sessions that share ten files
//   node --import tsx test/files/run.ts crash 200    two hundred processes, killed under load

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { crashRounds } from '../support/files/crash-rounds.ts'
import { parallelSaves } from '../support/files/parallel-saves.ts'

const [what, amount] = process.argv.slice(2)
const run = { dedup: parallelSaves, crash: crashRounds }[what ?? '']
if (run === undefined) throw new Error('Expected what to run: dedup or crash')
const directory = mkdtempSync(join(tmpdir(), 'gradio-state-test-'))
try {
  const begun = performance.now()
  console.log(await run(directory, Number(amount)))
  console.log(`${Math.round((performance.now() - begun) / 1000)} s`)
} finally {
  rmSync(directory, { recursive: true, force: true })
}
