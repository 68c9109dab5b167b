import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

// Each folder in consumers/ is an app that installs the packed package and checks it from the inside, by the script `test`
// of its package.json. A shell runs that one with the PATH that npm would set: npm takes half a second to start.

const root = fileURLToPath(new URL('../..', import.meta.url))
const templates = fileURLToPath(new URL('consumers', import.meta.url))
const consumers = await readdir(templates)
/** Installed separately: they can't use the packages of the others, and npm checks their versions against our peer dependencies. */
const APART = ['old-peers', 'refused-peers']

// Outside of the repository, whose node_modules they could otherwise use.
const folder = await mkdtemp(join(tmpdir(), 'gradio-state-consumers-'))

before(async () => {
  const packed = await run('node', ['scripts/pack.mjs', folder], root)
  await cp(templates, folder, { recursive: true })
  // As workspaces they share one installation; conflicting versions are still kept apart.
  const workspaces = consumers.filter(consumer => !APART.includes(consumer))
  await writeFile(join(folder, 'package.json'), JSON.stringify({ private: true, workspaces }))
  const quietly = ['--prefer-offline', '--no-audit', '--no-fund', '--no-package-lock']
  const install = ['install', ...quietly, packed.trim()]
  for (const directory of ['.', ...APART]) {
    const warnings = await run('npm', install, join(folder, directory), 'stderr')
    assert.doesNotMatch(warnings, /gradio-state|peer/, 'the installation warns of the package')
  }
})

after(() => rm(folder, { recursive: true, force: true }))

for (const consumer of consumers) {
  test(`works in ${consumer}`, async () => {
    const { scripts } = JSON.parse(await readFile(join(folder, consumer, 'package.json'), 'utf8'))
    await run('sh', ['-c', scripts.test], join(folder, consumer))
  })
}

/** Runs a command with the tools of a consumer and of this project at hand. The error of one that fails has its output. */
async function run(
  command: string,
  args: string[],
  cwd: string,
  output: 'stdout' | 'stderr' = 'stdout',
): Promise<string> {
  const tools = [cwd, folder, root].map(directory => join(directory, 'node_modules/.bin'))
  const path = [...tools, process.env.PATH].join(delimiter)
  try {
    const result = await promisify(execFile)(command, args, { cwd, env: { ...process.env, PATH: path } })
    return result[output]
  } catch (error) {
    const { message, stdout, stderr } = error as Error & { stdout: string; stderr: string }
    assert.fail(`${message}\n${stdout}\n${stderr}`)
  }
}
