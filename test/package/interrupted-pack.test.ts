import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { root } from '../support/package/files.ts'

/** A copy of what npm packs, whose `prepack` builds nothing. */
function copyOfPackage(): string {
  const folder = mkdtempSync(join(tmpdir(), 'gradio-state-interrupted-'))
  for (const name of ['README.md', 'CHANGELOG.md', 'SECURITY.md', 'LICENSE', '.npmignore', 'docs', 'scripts'])
    cpSync(join(root, name), join(folder, name), { recursive: true })
  const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  manifest.scripts.prepack = manifest.scripts.prepack.replace('npm run build && ', '')
  writeFileSync(join(folder, 'package.json'), JSON.stringify(manifest))
  return folder
}

const read = (folder: string) =>
  ['README.md', 'package.json', 'docs/guide.md'].map(file => readFileSync(join(folder, file), 'utf8'))

test('npm pack leaves the files as they were', t => {
  const folder = copyOfPackage()
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const before = read(folder)
  execFileSync('npm', ['pack', '--loglevel=error'], { cwd: folder, stdio: 'ignore' })
  assert.deepEqual(read(folder), before)
  assert.equal(existsSync(join(folder, '.packing')), false)
})

test('npm pack restores the files when Ctrl+C interrupts it after it has changed them', async t => {
  const folder = copyOfPackage()
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const before = read(folder)
  const manifest = JSON.parse(before[1]!)
  // npm is interrupted while it packs: a script that follows stands for that time.
  manifest.scripts.prepack += ' && echo changed && sleep 60'
  writeFileSync(join(folder, 'package.json'), JSON.stringify(manifest))
  const original = read(folder)
  const npm = spawn('npm', ['pack', '--foreground-scripts'], {
    cwd: folder,
    detached: true,
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  const ended = once(npm, 'close')
  let output = ''
  for await (const chunk of npm.stdout.setEncoding('utf8')) {
    output += chunk
    if (/^changed$/m.test(output)) break
  }
  assert.notDeepEqual(read(folder), original)
  process.kill(-(npm.pid as number), 'SIGINT')
  await ended
  while (existsSync(join(folder, '.packing'))) await sleep(20)
  assert.deepEqual(read(folder), original)
})
