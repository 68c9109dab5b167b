import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { cpSync, mkdtempSync, readdirSync, readFileSync } from 'node:fs'
import { rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { after, before, test } from 'node:test'
import { promisify } from 'node:util'
import { root } from './files.ts'

/**
 * Tests apps that install the packed package, each of which checks it from the inside, by the script `test` of its package.json. A shell
 * runs that one with the PATH that npm would set: npm takes half a second to start.
 *
 * @param templates The folder with a folder for each app.
 * @param apart Those that are installed separately: they can't use the packages of the others.
 */
export function testConsumers(templates: string, apart: readonly string[] = []): void {
  const consumers = readdirSync(templates)
  // Outside of the repository, whose node_modules they could otherwise use.
  const folder = mkdtempSync(join(tmpdir(), 'gradio-state-consumers-'))
  cpSync(templates, folder, { recursive: true })

  before(async () => {
    const packed = await run('node', ['scripts/pack.mjs', folder], root)
    // As workspaces they share one installation; conflicting versions are still kept apart.
    const workspaces = consumers.filter(consumer => !apart.includes(consumer))
    await writeFile(join(folder, 'package.json'), JSON.stringify({ private: true, workspaces }))
    const quietly = ['--prefer-offline', '--no-audit', '--no-fund', '--no-package-lock']
    const install = ['install', ...quietly, packed.trim()]
    for (const directory of [...(workspaces.length > 0 ? ['.'] : []), ...apart]) {
      const warnings = await run('npm', install, join(folder, directory), 'stderr')
      assert.doesNotMatch(warnings, /gradio-state|peer/, 'the installation warns of the package')
    }
  })

  after(() => rm(folder, { recursive: true, force: true }))

  for (const consumer of consumers) {
    test(`works in ${consumer}`, async () => {
      const { scripts } = JSON.parse(readFileSync(join(folder, consumer, 'package.json'), 'utf8'))
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
}
