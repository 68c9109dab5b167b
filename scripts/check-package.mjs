// Packs the package as `npm publish` would, and checks the tarball with publint and Are The Types Wrong.

import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

process.chdir(fileURLToPath(new URL('..', import.meta.url)))
const folder = mkdtempSync(join(tmpdir(), 'gradio-state-package-'))

try {
  const packed = execFileSync('npm', ['pack', '--pack-destination', folder], { encoding: 'utf8' })
  const tarball = join(folder, packed.trim().split('\n').at(-1))
  const judge = (tool, ...args) => execFileSync('npx', ['--no', tool, ...args], { stdio: 'inherit' })

  judge('publint', 'run', tarball, '--strict')
  judge('attw', tarball, '--profile', 'strict')
} catch (error) {
  process.exitCode = error.status || 1
} finally {
  rmSync(folder, { recursive: true, force: true })
}
