import assert from 'node:assert/strict'
import { existsSync, readdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { filesBelow, read, root } from '../support/package/files.ts'
import { brokenLinks, outsideCode } from '../support/package/links.ts'

// Checks the documentation: the tree of lib, paths, links, and the width of prose.

const pages = [
  ...['README.md', 'CHANGELOG.md', 'CONTRIBUTING.md', 'SECURITY.md', 'example-app/README.md'],
  ...filesBelow('docs', '.md').map(file => `docs/${file}`),
]

test('the tree in ARCHITECTURE.md lists every file of lib, and no other', () => {
  assert.deepEqual(treeOf(read('docs/ARCHITECTURE.md')).sort(), filesBelow('lib', '.ts').sort())
})

test('every file of lib that ARCHITECTURE.md or a decision mentions exists', () => {
  const internals = pages.filter(
    page => page === 'docs/ARCHITECTURE.md' || page.startsWith('docs/decisions/'),
  )
  const missing = internals.flatMap(page =>
    [
      ...outsideCode(read(page))
        .join('\n')
        .matchAll(/`([a-z-]+\/[a-z/-]+\.ts)`/g),
    ]
      .map(([, path]) => path as string)
      .filter(path => !existsSync(join(root, 'lib', path)) && !existsSync(join(root, path)))
      .map(path => `${page}: ${path}`),
  )
  assert.deepEqual(missing, [])
})

test('every relative link refers to a file, and to a heading of it', () => {
  assert.deepEqual(
    pages.flatMap(page => brokenLinks(page, root)),
    [],
  )
})

test('each test that the documentation links to exists, under the text of the link', () => {
  const links = pages.flatMap(page =>
    [...read(page).matchAll(/\[([^\]]+)\]\(([^)]*\.test\.ts)\)/g)].map(([, title = '', path = '']) => ({
      title,
      path: join(dirname(page), path),
    })),
  )
  assert.ok(links.length > 0)
  const missing = links.filter(({ title, path }) => {
    // Also the title of a test that is generated from a table.
    const declared = ["'", '"', '`'].flatMap(quote => [
      `${quote}${title}${quote},`,
      `${quote}${title}${quote}:`,
    ])
    // One test for each kind of session.
    declared.push(`\`${title}: \${`)
    return !existsSync(join(root, path)) || !declared.some(text => read(path).includes(text))
  })
  assert.deepEqual(missing, [])
})

test('no line of prose is longer than 120 columns', () => {
  // docs/api.md is generated from comments, which are indented in their files.
  const written = pages.filter(page => page !== 'docs/api.md')
  const long = written.flatMap(page =>
    outsideCode(read(page))
      // A row of a table can't be broken.
      .filter(line => line.length > 120 && !/^\s*\|/.test(line))
      .map(line => `${page}: ${line.slice(0, 60)}…`),
  )
  assert.deepEqual(long, [])
})

test('each decision is in the list of decisions', () => {
  const list = read('docs/decisions/README.md')
  const decisions = readdirSync(join(root, 'docs/decisions')).filter(file => file !== 'README.md')
  assert.deepEqual(
    decisions.filter(file => !list.includes(`](${file})`)),
    [],
  )
})

/** The files in the tree of `lib/`, by their indentation. */
function treeOf(page: string): string[] {
  const [, tree] = /```\nlib\/\n(.*?)^\S/ms.exec(page) ?? []
  assert.ok(tree !== undefined, 'ARCHITECTURE.md has the tree of lib')
  const folders: string[] = []
  const files: string[] = []
  for (const line of tree.trimEnd().split('\n')) {
    const [, indent = '', name = ''] = /^( +)(\S+)/.exec(line) ?? []
    folders.length = indent.length / 2 - 1
    if (name.endsWith('/')) folders.push(name)
    else files.push(folders.join('') + name)
  }
  return files
}
