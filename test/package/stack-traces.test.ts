import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

// What Node.js prints of an uncaught error: the line that threw, then the stack.

const root = fileURLToPath(new URL('../..', import.meta.url))
const programs = {
  'an ES module': [
    '--input-type=module',
    '-e',
    "import { gradioState } from 'gradio-state'; gradioState({ gracePeriod: 'soon' })",
  ],
  'a CommonJS module': [
    '--input-type=commonjs',
    '-e',
    "require('gradio-state').gradioState({ gracePeriod: 'soon' })",
  ],
}

for (const [name, args] of Object.entries(programs)) {
  test(`an uncaught error in ${name} shows the code that threw it`, () => {
    const [position = '', code = ''] = crash(args)
    const [, file = '', line = ''] = /^(.+\.js):(\d+)$/.exec(position) ?? []
    assert.equal(file.startsWith(join(root, 'dist/cjs/')), true, position)
    assert.equal(code, lineOf(file, Number(line)))
    assert.match(code, /\b(throw|new)\b/)
  })

  test(`with --enable-source-maps, an uncaught error in ${name} shows the source`, () => {
    const printed = crash(['--enable-source-maps', ...args])
    const [position = '', code = ''] = printed
    const [, file = '', line = ''] = /^(.+\.ts):(\d+)$/.exec(position) ?? []
    assert.equal(file.startsWith(join(root, 'lib/')), true, position)
    assert.equal(code, lineOf(file, Number(line)))
    assert.match(code, /\b(throw|new)\b/)
    const frames = printed.filter(each => /^ {4}at .*\/(lib|dist)\//.test(each))
    assert.ok(frames.length > 1)
    for (const frame of frames) assert.match(frame, /\/(lib\/.+\.ts|dist\/esm\/.+\.js):\d+:\d+\)?$/)
  })
}

/** The lines that a program prints to stderr before it exits with an error. */
function crash(args: readonly string[]): string[] {
  const { status, stderr } = spawnSync(process.execPath, args, { cwd: root, encoding: 'utf8' })
  assert.equal(status, 1)
  assert.match(stderr, /GradioStateError/)
  assert.ok(stderr.length < 4_000, `${stderr.length} characters`)
  return stderr.split('\n')
}

function lineOf(file: string, line: number): string {
  return readFileSync(file, 'utf8').split('\n')[line - 1] ?? ''
}
