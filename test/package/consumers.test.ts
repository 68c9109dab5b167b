import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { cp, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

// Each folder in consumers/ is an app that installs the packed package and tests it with `npm test`.

const root = fileURLToPath(new URL('../..', import.meta.url))
const templates = fileURLToPath(new URL('consumers', import.meta.url))
const consumers = await readdir(templates)
/** Installed separately: it can't use the packages of the others, and npm checks its versions against our peer dependencies. */
const APART = 'old-peers'

// Outside of the repository, whose node_modules they could otherwise use.
const folder = await mkdtemp(join(tmpdir(), 'gradio-state-consumers-'))

before(async () => {
  const packed = await run('npm', ['pack', '--ignore-scripts', '--pack-destination', folder], root)
  await cp(templates, folder, { recursive: true })
  // As workspaces they share one installation; conflicting versions are still kept apart.
  const workspaces = consumers.filter(consumer => consumer !== APART)
  await writeFile(join(folder, 'package.json'), JSON.stringify({ private: true, workspaces }))
  const quietly = ['--prefer-offline', '--no-audit', '--no-fund', '--no-package-lock']
  const install = ['install', ...quietly, join(folder, packed.trim())]
  await run('npm', install, folder)
  await run('npm', install, join(folder, APART))
})

after(() => rm(folder, { recursive: true, force: true }))

for (const consumer of consumers) {
  test(`works in ${consumer}`, async () => {
    await run('npm', ['test', '--silent'], join(folder, consumer))
  })
}

/** Runs a command with this project's tools in the path. The error of a failed command contains its output. */
async function run(command: string, args: string[], cwd: string): Promise<string> {
  const path = [join(root, 'node_modules/.bin'), process.env.PATH].join(delimiter)
  try {
    const { stdout } = await promisify(execFile)(command, args, { cwd, env: { ...process.env, PATH: path } })
    return stdout
  } catch (error) {
    const { message, stdout, stderr } = error as Error & { stdout: string; stderr: string }
    assert.fail(`${message}\n${stdout}\n${stderr}`)
  }
}
