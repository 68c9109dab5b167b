// What an instance finds in the directories of other instances with the same cache directory.

import assert from 'node:assert/strict'
import { createHash, randomUUID } from 'node:crypto'
import {
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { it, type TestContext } from 'node:test'
import { OWNER_FILE } from '../../lib/files/owner.ts'
import { snapshot, testCache } from '../support/files/cache.ts'
import { scratch } from '../support/files/disk.ts'

const BYTES = Buffer.from('what the other node has')

/** Two instances with one cache directory; the other one has a file of a session. */
async function two(t: TestContext, name = 'a.txt', bytes = BYTES) {
  const here = testCache(t)
  const other = testCache(t, { cacheDir: here.cacheDir })
  const id = randomUUID()
  const { path, sha256 } = await other.session(id).save(bytes, name)
  const find = async (by: { id?: string; sha256?: string; name?: string } = {}) => {
    const found = await here.cache.peers.open(by.id ?? id, by.sha256 ?? sha256, by.name ?? name)
    await found?.handle.close()
    return found && { name: found.name, sha256: found.sha256, path: found.path }
  }
  return { here, other, id, path, sha256, name, find }
}

const digest = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')

it('a file of the session is found in the directory of another instance, and nothing changes there', async t => {
  const { here, path, sha256, find } = await two(t)
  const before = snapshot(here.cacheDir)
  for (let round = 0; round < 2; round++) {
    assert.deepEqual(await find(), { name: 'a.txt', sha256, path })
  }
  assert.equal(snapshot(here.cacheDir), before)
})

it('files with one name are distinguished by their content', async t => {
  const { other, id, find } = await two(t)
  const [second, third] = [Buffer.from('the second'), Buffer.from('the third')]
  for (const bytes of [second, third]) await other.session(id).save(bytes, 'a.txt')
  for (const bytes of [third, BYTES, second]) {
    const found = await find({ sha256: digest(bytes) })
    assert.deepEqual(readFileSync(found?.path ?? ''), bytes)
  }
})

it('the second file with a name is found when the first is deleted', async t => {
  const { other, id, path, find } = await two(t)
  const second = Buffer.from('the second')
  await other.session(id).save(second, 'a.txt')
  unlinkSync(path)
  assert.ok(await find({ sha256: digest(second) }))
})

it('each of several instances has its part', async t => {
  const { here, id, find } = await two(t)
  const third = testCache(t, { cacheDir: here.cacheDir })
  const { path, sha256 } = await third.session(id).save(Buffer.from('of the third'), 'b.txt')
  assert.equal((await find({ sha256, name: 'b.txt' }))?.path, path)
  assert.ok(await find())
})

it('names of all kinds are found', async t => {
  const { other, id, find } = await two(t)
  const names = [
    '日本語.png',
    '.hidden',
    'con',
    'é'.normalize('NFD'),
    `.${'x'.repeat(300)}`,
    'a b%2F.txt',
    '',
  ]
  for (const given of names) {
    const { name, sha256 } = await other.session(id).save(Buffer.from(given), given)
    assert.equal((await find({ name, sha256 }))?.name, name, given)
  }
})

it('an empty file, and one that is hashed in several steps, are found', async t => {
  const { other, id, find } = await two(t)
  for (const size of [0, 4 * 1024 * 1024, 9 * 1024 * 1024 + 1]) {
    const { sha256 } = await other.session(id).save(Buffer.alloc(size, 'x'), 'large')
    assert.ok(await find({ name: 'large', sha256 }), String(size))
  }
})

it('a file that does not exist is not found', async t => {
  const { here, other, id, path, find } = await two(t)
  assert.equal(await find({ id: randomUUID() }), undefined)
  assert.equal(await find({ name: 'b.txt' }), undefined)
  assert.equal(await find({ sha256: digest(Buffer.from('other')) }), undefined)
  assert.equal(await other.cache.peers.open(id, digest(BYTES), 'a.txt'), undefined, 'its own')
  unlinkSync(path)
  assert.equal(await find(), undefined)
  await other.cache.close()
  assert.equal(await find(), undefined)
  rmSync(here.cacheDir, { recursive: true })
  assert.equal(await find(), undefined)
})

it('the file of another session is not found, although it has the same name and content', async t => {
  const { other, id, path, find } = await two(t)
  const theirs = await other.session().save(BYTES, 'a.txt')
  assert.equal((await find())?.path, path)
  unlinkSync(path)
  assert.equal(await find({ id }), undefined)
  assert.deepEqual(readFileSync(theirs.path), BYTES)
})

it('an invalid id, hash or name finds nothing', async t => {
  const { here, other, id, path, find } = await two(t)
  const folder = dirname(dirname(dirname(path)))
  // All of these would be found if they were put into a path unchanged.
  writeFileSync(join(folder, id, 'outside'), BYTES)
  writeFileSync(join(folder, 'outside'), BYTES)
  mkdirSync(join(folder, 'plain/saved'), { recursive: true })
  writeFileSync(join(folder, 'plain/saved/a.txt'), BYTES)
  const far = join(here.cacheDir, 'far')
  writeFileSync(far, BYTES)
  for (const name of [
    '../outside',
    '../../outside',
    '..',
    '.',
    '',
    far,
    '../saved/a.txt',
    './a.txt',
    'a.txt/',
  ])
    assert.equal(await find({ name }), undefined, name)
  for (const name of ['a.txt\0', '..\\outside', 'saved/a.txt']) assert.equal(await find({ name }), undefined)
  for (const wrong of [
    'plain',
    '',
    '.',
    '..',
    `../${folder.slice(here.cacheDir.length + 1)}/${id}`,
    `${id}/`,
  ])
    assert.equal(await find({ id: wrong }), undefined, wrong)
  for (const sha256 of ['', 'x', digest(BYTES).toUpperCase()])
    assert.equal(await find({ sha256 }), undefined, sha256)
  assert.ok(other && (await find()))
})

it('only files in directories for saved files are found', async t => {
  const { other, id, find } = await two(t)
  const directory = await other.session(id).directory()
  for (const folder of ['saved-1', 'saved-02', 'SAVED', 'saved-x', 'saves', 'deep/saved', '.']) {
    mkdirSync(join(directory, folder), { recursive: true })
    writeFileSync(join(directory, folder, 'b.txt'), BYTES)
  }
  assert.equal(await find({ name: 'b.txt' }), undefined)
})

const links: Record<string, (path: string) => string> = {
  'the file': path => path,
  'its shelf': path => dirname(path),
  'the directory of the session': path => dirname(dirname(path)),
  'the folder of the instance': path => dirname(dirname(dirname(path))),
}
for (const [what, partOf] of Object.entries(links)) {
  it(`a link in place of ${what} is not followed`, async t => {
    const { path, find } = await two(t)
    assert.ok(await find())
    const elsewhere = join(scratch(t), 'moved')
    const part = partOf(path)
    renameSync(part, elsewhere)
    symlinkSync(elsewhere, part)
    // It points to the file that was found before.
    assert.deepEqual(readFileSync(path), BYTES)
    assert.equal(await find(), undefined)
    unlinkSync(part)
    renameSync(elsewhere, part)
    assert.ok(await find())
  })
}

it('a directory in place of the file is not found', async t => {
  const { path, find } = await two(t)
  unlinkSync(path)
  mkdirSync(path)
  assert.equal(await find(), undefined)
})

it('a directory without a valid owner.json is not searched', async t => {
  const { other, find } = await two(t)
  const file = join(other.folder, OWNER_FILE)
  const owner = readFileSync(file, 'utf8')
  const elsewhere = join(scratch(t), OWNER_FILE)
  writeFileSync(elsewhere, owner)
  for (const wrong of [
    '',
    '{}',
    'null',
    '{"gradioState":1}',
    owner.replace('"gradioState":1', '"gradioState":2'),
  ]) {
    writeFileSync(file, wrong)
    assert.equal(await find(), undefined, wrong)
  }
  const { instance } = JSON.parse(owner)
  writeFileSync(file, owner.replace(instance, randomUUID()))
  assert.equal(await find(), undefined, 'of another folder')
  unlinkSync(file)
  assert.equal(await find(), undefined, 'none')
  symlinkSync(elsewhere, file)
  assert.equal(await find(), undefined, 'a link')
  unlinkSync(file)
  writeFileSync(file, owner)
  assert.ok(await find())
})

it('a directory with another name, or an incomplete one, is not searched', async t => {
  const { here, other, find } = await two(t)
  const { instance } = JSON.parse(readFileSync(join(other.folder, OWNER_FILE), 'utf8'))
  for (const name of [`.${instance}.new`, 'instance', `${instance}.old`]) {
    renameSync(other.folder, join(here.cacheDir, name))
    assert.equal(await find(), undefined, name)
    renameSync(join(here.cacheDir, name), other.folder)
  }
  assert.ok(await find())
})

it('a directory whose owner can not be read hides nothing else', async t => {
  const { here, find } = await two(t)
  for (const id of [`00000000${randomUUID().slice(8)}`, `ffffffff${randomUUID().slice(8)}`]) {
    mkdirSync(join(here.cacheDir, id, 'owner.json'), { recursive: true })
  }
  assert.ok(await find())
})

it('a file that has changed since it was hashed is hashed again', async t => {
  const { path, sha256, find } = await two(t)
  const other = Buffer.from(BYTES.toString().toUpperCase())
  assert.equal(other.length, BYTES.length)
  assert.ok(await find())
  const { atime, mtime } = statSync(path)
  // In place, with the same size and time.
  writeFileSync(path, other)
  utimesSync(path, atime, mtime)
  assert.equal(await find(), undefined)
  assert.ok(await find({ sha256: digest(other) }))
  // Another file in its place.
  const next = `${path}.new`
  writeFileSync(next, BYTES)
  utimesSync(next, atime, mtime)
  renameSync(next, path)
  assert.ok(await find({ sha256 }))
  assert.equal(await find({ sha256: digest(other) }), undefined)
  truncateSync(path, 3)
  assert.equal(await find({ sha256 }), undefined)
})

it('a file is hashed once for many requests, even for those with another content', async t => {
  const size = 16 * 1024 * 1024
  const { find } = await two(t, 'large', Buffer.alloc(size, 'x'))
  // For all threads of the process.
  const read = () => Number(/^rchar: (\d+)/.exec(readFileSync('/proc/self/io', 'utf8'))?.[1])
  const before = read()
  for (let round = 0; round < 3; round++) {
    const wrong = Array.from({ length: 5 }, () => find({ sha256: digest(BYTES) }))
    assert.ok((await Promise.all(wrong)).every(file => file === undefined))
    const right = Array.from({ length: 5 }, () => find())
    assert.ok((await Promise.all(right)).every(file => file?.name === 'large'))
  }
  const bytes = read() - before
  assert.ok(bytes > size && bytes < 1.5 * size, String(bytes))
})

it('a hash is dropped after a thousand others were used', async t => {
  const { other, id, find } = await two(t, 'a', Buffer.alloc(100_000, 'x'))
  const read = () => Number(/^rchar: (\d+)/.exec(readFileSync('/proc/self/io', 'utf8'))?.[1])
  await find()
  for (let i = 0; i < 1000; i++) await other.session(id).save(Buffer.from(String(i)), `b${i}`)
  const hashedAgain = async () => {
    const before = read()
    assert.ok(await find())
    return read() - before > 100_000
  }
  const findOthers = async (from: number, to: number) => {
    for (let i = from; i < to; i++) await find({ name: `b${i}` })
  }
  await findOthers(0, 500)
  assert.equal(await hashedAgain(), false)
  // It was used after the oldest of them.
  await findOthers(500, 1000)
  assert.equal(await hashedAgain(), false)
  await findOthers(0, 1000)
  assert.equal(await hashedAgain(), true)
})

it('no descriptor stays open', async t => {
  const { path, find } = await two(t)
  const open = () => readdirSync('/proc/self/fd').length
  await find()
  const before = open()
  for (let round = 0; round < 50; round++) {
    await find()
    await find({ sha256: digest(Buffer.from(String(round))) })
    writeFileSync(path, `round ${round}`)
  }
  assert.ok(open() <= before, `${open()} <= ${before}`)
})
