// Writes docs/api.md from the TSDoc comments of the package's exports. With --check, fails if it isn't current.

import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

process.chdir(fileURLToPath(new URL('..', import.meta.url)))

const PAGE = 'docs/api.md'
const folder = mkdtempSync(join(tmpdir(), 'gradio-state-api-'))

try {
  // `npm run typecheck` finds the errors.
  const typedoc = ['--no', '--', 'typedoc', '--out', folder, '--treatWarningsAsErrors', '--skipErrorChecking']
  execFileSync('npx', typedoc, { stdio: 'inherit' })
  const page = readFileSync(join(folder, 'api.md'), 'utf8')
  if (!process.argv.includes('--check')) writeFileSync(PAGE, page)
  else if (readFileSync(PAGE, 'utf8') !== page) {
    console.error(`Expected ${PAGE} to match the comments in lib. Run: npm run docs:api`)
    process.exitCode = 1
  }
} catch (error) {
  process.exitCode = error.status || 1
} finally {
  rmSync(folder, { recursive: true, force: true })
}
