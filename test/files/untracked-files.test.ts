import assert from 'node:assert/strict'
import { existsSync, mkdirSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import { DirectoryAccess } from '../../lib/files/directory-handle.ts'
import { sweepUntracked } from '../../lib/files/untracked-files.ts'
import { snapshot } from '../support/files/cache.ts'
import { filesBelow, scratch } from '../support/files/disk.ts'

describe('the sweep of what an app has written by itself', () => {
  it('deletes what is old, on every level, and the directories that this empties', async t => {
    const { directory, sweep, write } = strays(t)
    write('a', 'b/c', 'b/d/e')
    mkdirSync(join(directory, 'f/g'), { recursive: true })
    assert.equal(await sweep(LATER), 0)
    assert.equal(snapshot(directory).split('\n').length, 1)
  })

  it('keeps what is young, and tells its bytes', async t => {
    const { directory, sweep, write } = strays(t)
    write('a', 'b/c')
    assert.equal(await sweep(0), 2 * 4096)
    assert.deepEqual(filesBelow(directory), ['a', 'b/c'])
  })

  it('goes by the time a file came when it was copied with an old date', async t => {
    const { directory, sweep, write } = strays(t)
    write('a')
    utimesSync(join(directory, 'a'), 1, 1)
    await sweep(Date.now() - 60_000)
    assert.deepEqual(filesBelow(directory), ['a'])
  })

  it('goes by the date of a file that is dated ahead', async t => {
    const { directory, sweep, write } = strays(t)
    write('a')
    const ahead = (LATER + 1e6) / 1000
    utimesSync(join(directory, 'a'), ahead, ahead)
    await sweep(LATER)
    assert.deepEqual(filesBelow(directory), ['a'])
  })

  it('leaves an empty directory that was just made', async t => {
    const { directory, sweep } = strays(t)
    mkdirSync(join(directory, 'a/b'), { recursive: true })
    await sweep(Date.now() - 60_000)
    writeFileSync(join(directory, 'a/b/c'), '')
  })

  it('leaves saved files', async t => {
    const { directory, sweep, write } = strays(t)
    write('sha/saved', 'sha/other')
    await sweep(LATER, path => path === join(directory, 'sha/saved'))
    assert.deepEqual(filesBelow(directory), ['sha/saved'])
  })

  it('follows no link: not to a file, not to a directory, not in its own place', async t => {
    const { directory, sweep } = strays(t)
    const canary = scratch(t)
    writeFileSync(join(canary, 'file'), 'precious')
    const before = snapshot(canary)
    symlinkSync(join(canary, 'file'), join(directory, 'to-file'))
    symlinkSync(canary, join(directory, 'to-directory'))
    symlinkSync('nowhere', join(directory, 'to-nothing'))
    await sweep(LATER)
    assert.equal(snapshot(directory).split('\n').length, 1)
    rmSync(directory, { recursive: true })
    symlinkSync(canary, directory)
    assert.equal(await sweep(LATER), 0)
    assert.equal(snapshot(canary), before)
  })

  it('finds nothing in a directory that is gone', async t => {
    const { directory, sweep } = strays(t)
    rmSync(directory, { recursive: true })
    assert.equal(await sweep(LATER), 0)
  })

  it('holds the path of each file while it removes it, and leaves a directory where files are saved', async t => {
    const { directory, write } = strays(t)
    write('a/b', 'c')
    const held: string[] = []
    await sweepUntracked(await access(t), directory, LATER, {
      report: assert.ifError,
      isInUse: path => path === join(directory, 'a'),
      claim(path) {
        assert.ok(existsSync(path))
        return () => {
          assert.equal(existsSync(path), false)
          held.push(path)
        }
      },
    })
    assert.deepEqual(held.sort(), [join(directory, 'a/b'), join(directory, 'c')])
    assert.ok(existsSync(join(directory, 'a')))
  })
})

const BYTES = 'some bytes'
const LATER = Date.now() + 3_600_000

async function access(t: TestContext): Promise<DirectoryAccess> {
  const access = new DirectoryAccess()
  await access.probe(scratch(t))
  return access
}

function strays(t: TestContext) {
  const directory = join(scratch(t), 'session')
  mkdirSync(directory)
  return {
    directory,
    write(...names: string[]) {
      for (const name of names) {
        mkdirSync(dirname(join(directory, name)), { recursive: true })
        writeFileSync(join(directory, name), BYTES)
      }
    },
    sweep: async (until: number, has: (path: string) => boolean = () => false) =>
      sweepUntracked(await access(t), directory, until, {
        claim: path => (has(path) ? undefined : () => {}),
        isInUse: () => false,
        report: error => assert.fail(`${error}`),
      }),
  }
}
