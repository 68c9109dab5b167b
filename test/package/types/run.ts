// Compiles the TypeScript of the documents against the packed library with several versions of TypeScript, module settings and
// versions of Express's types, and prints a table:
//   npm run test:types

import { execFile, execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { root } from '../../support/package/files.ts'
import { PAGES, SURROUNDINGS, snippetsOf } from '../../support/package/snippets.ts'

const COMPILERS = ['5.4', '5.9', '6.0', '7.0']

const EXPRESS = {
  'Express 4': { express: '^4.22.0', '@types/express': '^4.17.25' },
  'Express 5': { express: '^5.0.0', '@types/express': '^5.0.0' },
}

/** What the documents import. */
const PACKAGES = {
  '@koa/multer': '^4.0.0',
  '@opentelemetry/api': '^1.9.0',
  '@opentelemetry/exporter-prometheus': '*',
  '@opentelemetry/sdk-metrics': '*',
  '@types/express-session': '^1.18.0',
  '@types/koa': '^3.0.0',
  '@types/koa__multer': '^2.0.8',
  '@types/node': '^20.19.0',
  'connect-redis': '^9.0.0',
  'express-rate-limit': '^8.0.0',
  'express-session': '^1.18.0',
  koa: '^3.0.0',
  'koa-session': '^7.0.0',
  multer: '^2.0.0',
  redis: '^5.0.0',
}

interface Setting {
  readonly module: string
  readonly moduleResolution: string
  /** The field `type` of the app's package.json. */
  readonly type: 'module' | 'commonjs'
  /** The newest TypeScript that has it. */
  readonly until?: string
}

const SETTINGS: Record<string, Setting> = {
  'commonjs, node10': { module: 'commonjs', moduleResolution: 'node10', type: 'commonjs', until: '6.0' },
  'node16, CommonJS': { module: 'node16', moduleResolution: 'node16', type: 'commonjs' },
  'node16, ESM': { module: 'node16', moduleResolution: 'node16', type: 'module' },
  'nodenext, CommonJS': { module: 'nodenext', moduleResolution: 'nodenext', type: 'commonjs' },
  'nodenext, ESM': { module: 'nodenext', moduleResolution: 'nodenext', type: 'module' },
  'esnext, bundler': { module: 'esnext', moduleResolution: 'bundler', type: 'module' },
}

interface Cell {
  readonly compiler: string
  readonly express: string
  readonly setting: string
}

/** Recipes are whole apps, with packages of their own: `npm run test:docs` compiles them. */
const snippets = PAGES.filter(page => !page.startsWith('docs/recipes/')).flatMap(snippetsOf)
const folder = mkdtempSync(join(tmpdir(), 'gradio-state-types-'))
try {
  install()
  const cells = COMPILERS.flatMap(compiler =>
    Object.keys(EXPRESS).flatMap(express =>
      Object.keys(SETTINGS).map(setting => ({ compiler, express, setting })),
    ),
  )
  const results = new Map<Cell, string[] | undefined>()
  const waiting = [...cells]
  const work = async () => {
    for (let cell = waiting.shift(); cell; cell = waiting.shift()) results.set(cell, await compile(cell))
  }
  await Promise.all(Array.from({ length: availableParallelism() }, work))
  report(cells, results)
} finally {
  rmSync(folder, { recursive: true, force: true })
}

/** Installs the compilers in the folder, and an app for each version of Express with its snippets, as ES modules and as CommonJS. */
function install(): void {
  const packed = execFileSync('node', ['scripts/pack.mjs', folder], { cwd: root, encoding: 'utf8' }).trim()
  const compilers = COMPILERS.map(version => [`typescript-${version}`, `npm:typescript@~${version}.0`])
  installAt(folder, Object.fromEntries(compilers))
  for (const [name, packages] of Object.entries(EXPRESS)) {
    const app = join(folder, name)
    installAt(app, { ...PACKAGES, ...packages, 'gradio-state': `file:${packed}` })
    for (const type of ['module', 'commonjs'] as const) {
      write(join(app, type, 'package.json'), JSON.stringify({ type }))
      for (const [file, text] of sourcesFor(type)) write(join(app, type, file), text)
    }
  }
}

function installAt(directory: string, dependencies: Record<string, string>): void {
  write(join(directory, 'package.json'), JSON.stringify({ private: true, dependencies }))
  const quietly = ['--prefer-offline', '--no-audit', '--no-fund', '--no-package-lock', '--loglevel=error']
  execFileSync('npm', ['install', ...quietly], { cwd: directory, stdio: ['ignore', 'ignore', 'inherit'] })
}

/** A CommonJS module has no `await` at its top level. */
function sourcesFor(type: Setting['type']): [string, string][] {
  const fitting = snippets.filter(
    ([, text]) => type === 'module' || !/^(await |const .*= await )/m.test(text),
  )
  return [...SURROUNDINGS, ...fitting]
}

/** @returns the errors in the snippets and in the library's declarations, or `undefined` if this compiler doesn't have the setting */
async function compile({ compiler, express, setting }: Cell): Promise<string[] | undefined> {
  const { type, until, module, moduleResolution } = SETTINGS[setting] as Setting
  if (until !== undefined && Number(compiler) > Number(until)) return undefined
  const directory = join(folder, express, type)
  const config = join(directory, `tsconfig-${compiler}-${setting.replaceAll(/\W+/g, '-')}.json`)
  const isDeprecated = until === compiler
  const compilerOptions = {
    ...{ module, moduleResolution, types: ['node'], target: 'es2022', esModuleInterop: true },
    ...{ lib: ['es2022', 'esnext.disposable', 'dom'], noEmit: true, pretty: false },
    ...{ strict: true, exactOptionalPropertyTypes: true, skipLibCheck: false },
    ...(isDeprecated && { ignoreDeprecations: compiler }),
  }
  write(config, JSON.stringify({ compilerOptions, files: sourcesFor(type).map(([file]) => file) }))
  const program = join(folder, 'node_modules', `typescript-${compiler}`)
  const { bin } = JSON.parse(readFileSync(join(program, 'package.json'), 'utf8'))
  const output = await new Promise<string>(resolve => {
    const args = [join(program, bin.tsc), '-p', config]
    execFile(process.execPath, args, { cwd: directory }, (error, stdout, stderr) =>
      resolve(error === null ? '' : `${stdout}${stderr}`.trim() || String(error)),
    )
  })
  // Declarations of other packages may have errors of their own.
  const isForeign = (line: string) =>
    line.includes('node_modules/') && !line.includes('node_modules/gradio-state/')
  return output.split('\n').filter(line => /^\S/.test(line) && !isForeign(line))
}

function report(cells: Cell[], results: Map<Cell, string[] | undefined>): void {
  const columns = COMPILERS.map(compiler => `TypeScript ${compiler}`)
  console.log(
    `| types | module, resolution | ${columns.join(' | ')} |\n|${'---|'.repeat(columns.length + 2)}`,
  )
  for (const express of Object.keys(EXPRESS)) {
    for (const setting of Object.keys(SETTINGS)) {
      const row = cells.filter(cell => cell.express === express && cell.setting === setting)
      const words = row.map(cell => wordFor(results.get(cell)))
      console.log(`| ${express} | ${setting} | ${words.join(' | ')} |`)
    }
  }
  for (const [cell, errors] of results) {
    if (!errors?.length) continue
    process.exitCode = 1
    console.log(`\nTypeScript ${cell.compiler}, ${cell.express}, ${cell.setting}:\n${errors.join('\n')}`)
  }
}

function wordFor(errors: string[] | undefined): string {
  if (errors === undefined) return '–'
  return errors.length === 0 ? 'compiles' : `${errors.length} errors`
}

function write(file: string, text: string): void {
  mkdirSync(join(file, '..'), { recursive: true })
  writeFileSync(file, text)
}
