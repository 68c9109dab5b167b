import assert from 'node:assert/strict'
import { readdirSync, writeFileSync } from 'node:fs'
import { basename, join, win32 } from 'node:path'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { safeName } from '../../lib/files/names.ts'
import { scratch } from '../support/files/disk.ts'

describe('a safe name', () => {
  it('keeps a harmless name unchanged', () => {
    for (const name of [
      'a.png',
      '日本語.png',
      'Zürich (1).tar.gz',
      'a b',
      "it's",
      '😀.gif',
      'a..b',
      '100%.txt',
    ])
      assert.equal(safeName(name), name)
  })

  it('is the last part of a path, with slashes or backslashes', () => {
    for (const name of [
      '/etc/passwd',
      '..\\..\\passwd',
      'C:\\Users\\me\\passwd',
      'a/b\\passwd',
      'a\\b/passwd',
    ])
      assert.equal(safeName(name), 'passwd')
  })

  it('exists even if nothing is left of the name', () => {
    for (const name of [
      '',
      '.',
      '..',
      '...',
      ' ',
      '. . .',
      '/',
      'a/',
      '\\',
      '\u202e',
      '\0',
      '../..',
      ' \t\n',
    ])
      assert.equal(safeName(name), 'file', JSON.stringify(name))
  })

  it('never makes a file hidden', () => {
    assert.equal(safeName('.htaccess'), '_.htaccess')
    assert.equal(safeName('..a'), '_..a')
  })

  it('is never a device name of Windows, with any extension', () => {
    for (const name of ['con', 'NUL', 'Aux.txt', 'prn.tar.gz', 'com1', 'LPT9.png', 'com¹', 'lpt³.x'])
      assert.equal(safeName(name), `_${name}`)
    for (const name of ['console', 'com', 'com10', 'lpt.txt']) assert.equal(safeName(name), name)
  })

  it('has no characters that are invisible or change the text direction', () => {
    assert.equal(safeName('photo\u202egpj.exe'), 'photogpj.exe')
    assert.equal(safeName('a\0b\u200b\u2028\u2066\ufeff\u001b[31m.txt'), 'ab[31m.txt')
  })

  it('is the same for names that look the same', () => {
    assert.equal(safeName('e\u0301.txt'), '\u00e9.txt')
    assert.equal(safeName('e\u200b\u0301.txt'), '\u00e9.txt')
  })

  it('keeps the extension of a name that is too long, and cuts no character in half', () => {
    assert.equal(safeName(`${'a'.repeat(300)}.jpeg`), `${'a'.repeat(195)}.jpeg`)
    assert.equal(safeName(`${'😀'.repeat(100)}.png`), `${'😀'.repeat(49)}.png`)
    assert.equal(safeName(`a.${'x'.repeat(300)}`).length, 200)
  })

  it('can be written to the disk and is found under that name, whatever the original was', t => {
    const directory = scratch(t)
    const anything = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 300 }),
      fc.string({ unit: fc.constantFrom(...'./\\:*?"<>| \0\u202e\ud800a.conCON1'), maxLength: 20 }),
    )
    fc.assert(
      fc.property(anything, text => {
        const name = safeName(text)
        assert.ok(Buffer.byteLength(name) <= 201, `${Buffer.byteLength(name)} bytes`)
        assert.equal(basename(name), name)
        assert.equal(win32.basename(name), name)
        assert.equal(Buffer.from(name).toString(), name)
        assert.doesNotMatch(name, /^\.|[. ]$|[<>:"|?*/\\\p{Cc}\p{Cf}]/u)
        writeFileSync(join(directory, name), '')
        assert.ok(readdirSync(directory).includes(name))
      }),
      { numRuns: 500 },
    )
  })
})
