import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after } from 'node:test'
import { promisify } from 'node:util'
import { root } from '../package/files.ts'
import { type Recipe, readRecipe } from './recipe.ts'

/** A directory outside of the repository in which a reader has followed a recipe. */
export interface Folder {
  readonly recipe: Recipe
  readonly path: string
  /** Runs a command of the recipe to its end. Resolves with what it printed. */
  run(command: string, env?: NodeJS.ProcessEnv): Promise<string>
}

/** Of a reader's shell. A runner of tests in this one would report to it, and not print. */
const { NODE_TEST_CONTEXT: _, ...shell } = process.env
export const ENV: NodeJS.ProcessEnv = {
  ...shell,
  npm_config_prefer_offline: 'true',
  npm_config_audit: 'false',
  npm_config_fund: 'false',
}

const folders: string[] = []
let packing: Promise<string> | undefined

after(() => Promise.all(folders.map(folder => rm(folder, { recursive: true, force: true }))))

/** Writes the files of docs/recipes/`name`.md, and runs its first block of commands, with this package in place of the published one. */
export async function follow(name: string): Promise<Folder> {
  const recipe = readRecipe(name)
  // npm refuses to install a package into a directory that has its name.
  const path = join(await newFolder(), 'my-app')
  await mkdir(path)
  packing ??= pack()
  const setUp = recipe.setUp.replace(/(?<=npm install .*)\bgradio-state\b/, await packing)
  await execute('sh', ['-ec', setUp], path)
  for (const [file, content] of recipe.files) {
    await mkdir(dirname(join(path, file)), { recursive: true })
    await writeFile(join(path, file), content)
  }
  return {
    recipe,
    path,
    run(command, env) {
      expectCommand(recipe, command)
      return execute('sh', ['-c', command], path, env)
    },
  }
}

/** The commands that a test runs are those of the page. */
export function expectCommand({ name, commands }: Recipe, command: string): void {
  assert.ok(commands.includes(command), `${name}.md has no command ${command}, but ${commands.join('; ')}`)
}

async function pack(): Promise<string> {
  const folder = await newFolder()
  const packed = await execute('npm', ['pack', '--ignore-scripts', '--pack-destination', folder], root)
  return join(folder, packed.trim())
}

async function newFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'gradio-state-recipe-'))
  folders.push(folder)
  return folder
}

/** The error of a command that fails has its output. */
export async function execute(
  command: string,
  args: string[],
  cwd: string,
  env?: NodeJS.ProcessEnv,
): Promise<string> {
  try {
    const options = { cwd, env: { ...ENV, ...env }, maxBuffer: Infinity }
    const { stdout } = await promisify(execFile)(command, args, options)
    return stdout
  } catch (error) {
    const { message, stdout, stderr } = error as Error & { stdout: string; stderr: string }
    assert.fail(`${message}\n${stdout}\n${stderr}`)
  }
}
