// Installs the packed library beside each version of its peers, without any flag, and runs an app; runs the same app in each runtime;
// and prints the tables of docs/compatibility.md:
//   npm run test:compatibility

import { execFileSync, spawnSync } from 'node:child_process'
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { root } from '../../support/package/files.ts'

/** The programs of the peers: they count the visits of two users, with a real Redis where it is the peer. */
const programs = fileURLToPath(new URL('consumers/old-peers', import.meta.url))
const smoke = fileURLToPath(new URL('smoke.mjs', import.meta.url))

type Packages = Record<string, string>

interface Peer {
  readonly versions: string[]
  readonly beside: Packages
  readonly program: 'express.js' | 'koa.js' | 'redis.js'
  /** The versions that are refused, and the text of the error. */
  readonly refused?: Record<string, RegExp>
}

const EXPRESS = { express: '^5.0.0', 'express-session': '^1.18.0' }
const KOA = { koa: '^2.16.0', 'koa-session': '^7.0.0' }

const PEERS: Record<string, Peer> = {
  express: {
    versions: ['~4.0.0', '~4.16.0', '~4.17.0', '^4.22.0', '~5.0.0', '^5.0.0'],
    beside: EXPRESS,
    program: 'express.js',
  },
  'express-session': { versions: ['~1.5.0', '~1.15.0', '^1.18.0'], beside: EXPRESS, program: 'express.js' },
  koa: {
    versions: ['~1.7.0', '~2.0.0', '~2.7.0', '~2.15.0', '^2.16.0', '^3.0.0'],
    beside: KOA,
    program: 'koa.js',
    // By Koa itself.
    refused: { '~1.7.0': /requires a generator function/ },
  },
  'koa-session': {
    versions: ['~3.4.0', '~4.0.0', '~5.0.0', '^5.13.0', '~6.0.0', '^6.4.0', '^7.0.0'],
    beside: KOA,
    program: 'koa.js',
    refused: { '~4.0.0': /GradioStateError: Expected koa-session of version 5 or later/ },
  },
  redis: {
    versions: ['~4.0.0', '~4.2.0', '^4.7.0', '^5.0.0', '^6.0.0'],
    beside: EXPRESS,
    program: 'redis.js',
    refused: {
      '~4.0.0': /GradioStateError: Expected redis of version 4\.2 or later/,
    },
  },
}

/** The runtimes, by the packages that have them, and their commands. */
const RUNTIMES: Record<string, [packages: Packages, command: string, ...args: string[]]> = {
  'Node.js 20': [{ node: '^20.19.0' }, 'node'],
  'Node.js 22': [{ node: '^22.0.0' }, 'node'],
  'Node.js 24': [{ node: '^24.0.0' }, 'node'],
  'Node.js 26': [{ node: '^26.0.0' }, 'node'],
  Bun: [{ bun: '^1.4.0' }, 'bun', 'run'],
  Deno: [{ deno: '^2.9.0' }, 'deno', 'run', '-A'],
}

const folder = mkdtempSync(join(tmpdir(), 'gradio-state-compatibility-'))
const only = process.argv.slice(2)
const isWanted = (name: string) => only.length === 0 || only.includes(name)
try {
  const tarball = execFileSync('node', ['scripts/pack.mjs', folder], { cwd: root, encoding: 'utf8' }).trim()
  for (const [name, peer] of Object.entries(PEERS).filter(([name]) => isWanted(name))) {
    console.log(`\n| ${name} | installs | |\n|---|---|---|`)
    for (const version of peer.versions) checkPeer(name, peer, version, tarball)
  }
  if (isWanted('runtimes')) {
    console.log('\n| runtime | version | |\n|---|---|---|')
    for (const runtime of Object.keys(RUNTIMES)) checkRuntime(runtime, tarball)
  }
} finally {
  rmSync(folder, { recursive: true, force: true })
}

function checkPeer(name: string, { beside, program, refused }: Peer, version: string, tarball: string): void {
  const app = mkdtempSync(join(folder, 'app-'))
  cpSync(programs, app, { recursive: true })
  const installed = install(app, { ...beside, [name]: version }, tarball)
  const result = installed.ok ? run('node', [program], app) : installed
  const refusal = refused?.[version]
  const found = installed.ok ? versionOf(app, name) : version
  const isRefused = refusal !== undefined && !result.ok && refusal.test(result.output)
  const word = result.ok ? 'works' : isRefused ? 'refused' : 'FAILS'
  console.log(`| ${found} | ${installed.ok ? 'yes' : 'NO'} | ${word} |`)
  if (refusal === undefined ? result.ok : isRefused) return
  process.exitCode = 1
  console.log(result.output.slice(-2000))
}

function checkRuntime(name: string, tarball: string): void {
  const [packages, command, ...args] = RUNTIMES[name] as [Packages, string, ...string[]]
  const app = mkdtempSync(join(folder, 'app-'))
  cpSync(smoke, join(app, 'smoke.mjs'))
  const installed = install(app, { ...packages, express: '^5.0.0' }, tarball)
  const result = installed.ok
    ? run(join(app, 'node_modules/.bin', command), [...args, 'smoke.mjs'], app)
    : installed
  console.log(`| ${name} | ${versionOf(app, command)} | ${result.ok ? 'works' : 'FAILS'} |`)
  if (result.ok) return
  process.exitCode = 1
  console.log(result.output.slice(-2000))
}

function install(app: string, packages: Packages, tarball: string): { ok: boolean; output: string } {
  const dependencies = { ...packages, 'gradio-state': `file:${tarball}` }
  writeFileSync(join(app, 'package.json'), JSON.stringify({ private: true, dependencies }))
  return run('npm', ['install', '--prefer-offline', '--no-audit', '--no-fund'], app)
}

function versionOf(app: string, name: string): string {
  return JSON.parse(readFileSync(join(app, 'node_modules', name, 'package.json'), 'utf8')).version
}

function run(command: string, args: string[], cwd: string): { ok: boolean; output: string } {
  const { status, stdout, stderr } = spawnSync(command, args, { cwd, encoding: 'utf8', timeout: 120_000 })
  return { ok: status === 0, output: stdout + stderr }
}
