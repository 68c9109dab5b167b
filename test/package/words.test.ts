import assert from 'node:assert/strict'
import { test } from 'node:test'
import { filesBelow, read } from '../support/package/files.ts'

/** The folders and files that are searched. */
const FOLDERS = ['README.md', 'bench', 'docs', 'example-app', 'lib', 'test']
/** It lists the terms. */
const THIS_FILE = 'test/package/words.test.ts'

/**
 * Terms that were replaced, with what to write instead. Each must not occur as a word, nor as a part of an identifier. Phrases are
 * listed where a word alone has another, proper meaning, such as the host of a URL.
 */
const DROPPED: Readonly<Record<string, string>> = {
  'host session': 'framework session',
  'host store': 'framework store',
  'host request': 'framework request',
  'host user': 'user, harness user',
  'host harness': 'framework harness',
  'koa host': 'Koa session',
  'engine unavailable': 'cluster unavailable',
  life: 'session',
  holder: 'entry',
  visit: 'entry',
  shelf: 'slot',
  shelves: 'slots',
  strays: 'untracked files',
  carried: 'stored in the session',
  carrying: 'signed tokens',
  mint: 'create, signer',
  minted: 'signed, verify',
  audience: 'the pages of a session',
  roamingUser: 'name it',
  farewell: 'end, close',
  farewells: 'ends, closes',
  epilogue: 'cleanup',
  holdings: 'index',
  hear: 'receive, detect',
  hears: 'receives, detects',
  heard: 'received, detected',
  taker: 'handler',
  takers: 'handlers',
  tells: 'reports, notifies',
  told: 'reported, notified',
  whoever: 'anyone who',
  whomever: 'any',
  'for ever': 'forever',
  'made anew': 'recreated',
  'belongs into': 'belongs in',
  succession: 'replaced instances',
  wiring: 'setup',
  born: 'createdAt',
  nth: 'load count',
  heir: 'successor',
  cloakroom: 'name it by its use',
  dropbox: 'name it by its use',
}

/** `framework session` of `FrameworkSession`, `framework_session` and `framework-session`. */
function wordsOf(text: string): string {
  return text
    .replace(/([a-z\d])([A-Z])/g, '$1 $2')
    .replace(/[_-]/g, ' ')
    .toLowerCase()
}

function filesOf(path: string): string[] {
  if (/\.(ts|md)$/.test(path)) return [path]
  return filesBelow(path, '.ts', '.md').map(file => `${path}/${file}`)
}

test('replaced terms occur neither in names nor in prose', () => {
  const found: string[] = []
  for (const file of FOLDERS.flatMap(filesOf).filter(file => file !== THIS_FILE)) {
    for (const [index, line] of `${file}\n${read(file)}`.split('\n').entries()) {
      const words = ` ${wordsOf(line).replace(/[^a-z']+/g, ' ')} `
      for (const [dropped, instead] of Object.entries(DROPPED)) {
        if (words.includes(` ${dropped} `)) found.push(`${file}:${index}: ${dropped} (write: ${instead})`)
      }
    }
  }
  assert.deepEqual(found, [])
})
