import assert from 'node:assert/strict'
import { test } from 'node:test'
import { filesBelow, read } from '../support/package/files.ts'
import { readRecipe } from '../support/recipes/recipe.ts'

// What a reader of a recipe relies on. test/recipes follows each of them.

const index = read('docs/recipes/README.md')
const names = filesBelow('docs/recipes', '.md')
  .map(file => file.replace('.md', ''))
  .filter(name => name !== 'README')

test('the list of recipes has all of them', () => {
  assert.deepEqual(
    names.filter(name => !index.includes(`](${name}.md)`)),
    [],
  )
})

for (const name of names.filter(name => read(`docs/recipes/${name}.md`).includes('```sh'))) {
  const { text, files, setUp } = readRecipe(name)

  test(`${name} names each file before its content`, () => {
    assert.ok(files.size > 0)
    for (const file of files.keys()) {
      const [before = ''] = text.split(new RegExp(`^\`\`\`\\w* ${file.replaceAll('.', '\\.')}$`, 'm'))
      const [paragraph = ''] = before.trimEnd().split('\n\n').slice(-1)
      assert.ok(paragraph.includes(`\`${file}\``), `${file} is not in: ${paragraph}`)
    }
  })

  test(`${name} installs the major versions that it was tried with`, () => {
    const packages = [...setUp.matchAll(/npm install (.*)/g)].flatMap(([, list = '']) => list.split(' '))
    const unpinned = packages.filter(each => !each.startsWith('--') && !/.@\d/.test(each))
    assert.deepEqual(unpinned, packages.includes('gradio-state') ? ['gradio-state'] : [])
  })

  test(`${name} ends with what to look out for`, () => {
    const [, hints = ''] = text.split('\n## Look out for\n\n')
    const { length } = hints.split('\n').filter(line => line.startsWith('- '))
    assert.ok(length >= 2 && length <= 4, `${length} points`)
    assert.doesNotMatch(hints, /^#/m)
  })
}
