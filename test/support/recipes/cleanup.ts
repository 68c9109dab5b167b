import assert from 'node:assert/strict'
import type { Program } from './program.ts'

/** Stops a program as Ctrl+C does, and checks that it has cleaned up. @param deleted what its delete callback prints: `'1 uploads'` */
export async function expectCleanStop(program: Program, deleted: string): Promise<void> {
  program.interrupt()
  assert.deepEqual(await program.exited, [0, null], program.output())
  await expectCleanedUp(program, deleted)
}

/** The program has exited: it has run the delete callback, left no file, and emitted no warning of the library. */
export async function expectCleanedUp(program: Program, deleted: string): Promise<void> {
  assert.match(program.output(), new RegExp(`DELETED ${deleted}: shutdown\\n`))
  assert.deepEqual(await program.leftovers(), [])
  assert.doesNotMatch(program.output(), /GRADIO_STATE_/)
}
