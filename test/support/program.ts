import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../..', import.meta.url))

/**
 * The arguments with which Node.js runs a program, by its path from the root. scripts/run-tests.mjs has compiled those in its list:
 * a loader in each process would compile lib again.
 */
export function program(path: string): string[] {
  const compiled = join(process.env.TEST_BUILD ?? '', path.replace(/\.ts$/, '.mjs'))
  return process.env.TEST_BUILD !== undefined && existsSync(compiled)
    ? ['--enable-source-maps', compiled]
    : ['--import', 'tsx', join(root, path)]
}
