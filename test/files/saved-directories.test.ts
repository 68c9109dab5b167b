import assert from 'node:assert/strict'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { basename, dirname, join, relative } from 'node:path'
import { describe, it } from 'node:test'
import { directoryOfName, nameOfDirectory, SavedDirectories } from '../../lib/files/saved-directories.ts'
import { testCache } from '../support/files/cache.ts'
import { openBelow } from '../support/files/disk.ts'
import { pausing } from '../support/files/failing-calls.ts'

describe('the directories that the files of a session are saved in', () => {
  it('accept each name once, in constant time up to the 100 000th', () => {
    const directories = new SavedDirectories()
    const places = Array.from({ length: 100_000 }, () => directories.reserve('a'))
    assert.equal(new Set(places.map(({ directory }) => directory)).size, 100_000)
    for (const place of places.slice(0, 10)) directories.release(place)
    const again = Array.from({ length: 11 }, () => directories.reserve('a').directory)
    assert.deepEqual(
      again.sort((a, b) => a - b),
      [...Array(10).keys(), 100_000],
    )
  })

  it('treat names as equal that some file systems treat as equal', () => {
    const directories = new SavedDirectories()
    for (const [i, name] of ['café.TXT', 'CAFÉ.txt', 'cafe\u0301.txt'].entries())
      assert.equal(directories.reserve(name).directory, i)
    assert.equal(directories.reserve('other').directory, 0)
  })

  it('give neither a place that a sweep has, nor a sweep one that is reserved', () => {
    const directories = new SavedDirectories()
    const swept = directories.reserveAt(0, 'a')
    const saved = directories.reserve('a')
    assert.equal(saved.directory, 1)
    assert.equal(directories.reserveAt(1, 'A'), undefined)
    directories.release(swept!)
    assert.equal(directories.reserve('a').directory, 0)
    directories.release(saved)
    assert.deepEqual([directories.isInUse(0), directories.isInUse(1)], [true, false])
  })

  it('are recognized by the names of their directories', () => {
    for (const directory of [0, 1, 2, 10_000])
      assert.equal(directoryOfName(nameOfDirectory(directory)), directory)
    assert.equal(directoryOfName('Saved-2'), 1)
    for (const name of ['', 'save', 'saved-', 'saved-0', 'saved-1', 'saved-02', 'saved-2x', 'xsaved'])
      assert.equal(directoryOfName(name), undefined, name)
  })
})

describe('files with one name', () => {
  it('all keep it, and a place that is free again is reused', async t => {
    const { session } = testCache(t)
    const files = session()
    const saved = []
    for (const text of ['1', '2', '3']) saved.push(await files.save(Buffer.from(text), 'a.txt'))
    const places = saved.map(({ path }) => relative(files.path, path))
    assert.deepEqual(places, ['saved/a.txt', 'saved-2/a.txt', 'saved-3/a.txt'])
    await files.undoUpload(saved[1]!)
    assert.equal(existsSync(dirname(saved[1]!.path)), false)
    const { path } = await files.save(Buffer.from('4'), 'A.TXT')
    assert.deepEqual([basename(path), basename(dirname(path))], ['A.TXT', 'saved-2'])
    for (const i of [0, 2]) assert.equal(readFileSync(saved[i]!.path, 'utf8'), `${i + 1}`)
  })

  it('do not overwrite what the app has put in their place', async t => {
    const { session } = testCache(t)
    const files = session()
    const directory = files.path
    await files.directory()
    writeFileSync(join(directory, 'saved'), 'a file')
    mkdirSync(join(directory, 'saved-2/a.txt'), { recursive: true })
    mkdirSync(join(directory, 'saved-3'))
    writeFileSync(join(directory, 'saved-3/a.txt'), 'the app’s')
    const { path } = await files.save(Buffer.from('saved'), 'a.txt')
    assert.equal(relative(directory, path), 'saved-4/a.txt')
    assert.equal(readFileSync(join(directory, 'saved-3/a.txt'), 'utf8'), 'the app’s')
    assert.deepEqual(readdirSync(directory), ['app', 'saved', 'saved-2', 'saved-3', 'saved-4'])
  })

  it('are not confused with what a sweep is removing at their path', async t => {
    const { cache, session, errors } = testCache(t)
    const files = session()
    await files.directory()
    mkdirSync(join(files.path, 'saved'))
    writeFileSync(join(files.path, 'saved/stray.txt'), 'old')
    const { reached, resume } = pausing(t, 'unlink', 'stray.txt')
    const swept = cache.sweep(-1e6)
    await reached
    const { path } = await files.save(Buffer.from('new'), 'stray.txt')
    resume()
    await swept
    assert.equal(readFileSync(path, 'utf8'), 'new')
    assert.deepEqual([existsSync(join(files.path, 'saved')), errors], [false, []])
  })

  it('are all saved when their directory is removed while several are moved into it', async t => {
    const { session, cacheDir } = testCache(t)
    const files = session()
    await files.save(Buffer.from('first'), 'first')
    const { reached, resume } = pausing(t, 'lstat', 'saved/slow')
    const slow = files.save(Buffer.from('slow'), 'slow')
    await reached
    rmSync(join(files.path, 'saved'), { recursive: true })
    const others = await Promise.all(['a', 'b', 'c'].map(name => files.save(Buffer.from(name), name)))
    resume()
    for (const { path, name } of [...others, await slow]) assert.equal(readFileSync(path, 'utf8'), name)
    assert.deepEqual(openBelow(cacheDir), [])
  })
})
