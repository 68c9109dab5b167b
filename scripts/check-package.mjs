// Packs the package as `npm publish` does, and checks the tarball with publint and Are The Types Wrong.

import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

process.chdir(fileURLToPath(new URL('..', import.meta.url)))
const folder = mkdtempSync(join(tmpdir(), 'gradio-state-package-'))

try {
  const tarball = execFileSync('node', ['scripts/pack.mjs', folder], { encoding: 'utf8' }).trim()
  const judge = (tool, ...args) => execFileSync('npx', ['--no', tool, ...args], { stdio: 'inherit' })

  judge('publint', 'run', tarball, '--strict')
  judge('attw', tarball, '--profile', 'strict')
} catch (error) {
  process.exitCode = error.status || 1
} finally {
  rmSync(folder, { recursive: true, force: true })
}
