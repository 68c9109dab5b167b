import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { root } from '../support/package/files.ts'
import { brokenLinks } from '../support/package/links.ts'

const folder = mkdtempSync(join(tmpdir(), 'gradio-state-tarball-'))
const unpacked = join(folder, 'package')
let files: string[] = []

before(() => {
  const tarball = execFileSync('node', ['scripts/pack.mjs', folder], { cwd: root, encoding: 'utf8' }).trim()
  const names = execFileSync('tar', ['-xvf', tarball, '-C', folder], { encoding: 'utf8' })
  files = names
    .trim()
    .split('\n')
    .map(name => name.replace('package/', ''))
})

after(() => rmSync(folder, { recursive: true, force: true }))

test('the package contains the build, its entries and the pages for users', () => {
  const isBuilt = (path: string): boolean =>
    /^dist\/(esm|cjs)\/(.+\.(js|js\.map|d\.ts)|package\.json)$/.test(path)
  const isPage = (path: string): boolean => /^docs\/([a-z-]+\.md|recipes\/.+)$/.test(path)
  const rest = files.filter(path => !isBuilt(path) && !isPage(path))
  const stubs = ['client', 'koa', 'metrics', 'redis', 'testing'].map(path => `${path}/package.json`)
  const pages = ['CHANGELOG.md', 'LICENSE', 'README.md', 'SECURITY.md']

  assert.ok(files.includes('dist/esm/index.js'), 'the package is built')
  assert.ok(files.includes('docs/api.md'))
  assert.deepEqual(rest.sort(), [...pages, ...stubs, 'package.json'].sort())
})

test('no page of the package has a link to a file or a heading that the package does not have', () => {
  const pages = files.filter(path => path.endsWith('.md'))
  assert.deepEqual(
    pages.flatMap(page => brokenLinks(page, unpacked)),
    [],
  )
  const links = pages.map(
    page => readFileSync(join(unpacked, page), 'utf8').match(/\]\((?!http)/g)?.length ?? 0,
  )
  assert.ok(Math.max(...links) > 10, 'links within the package are kept')
})

test('no script of the package runs a file that the package does not have, or is warned of at installation', () => {
  const { scripts } = JSON.parse(readFileSync(join(unpacked, 'package.json'), 'utf8'))
  // npm reads it after it has packed. It needs no file.
  assert.deepEqual(Object.keys(scripts), ['postpack'])
  assert.match(scripts.postpack, /^node -e "/)
})
