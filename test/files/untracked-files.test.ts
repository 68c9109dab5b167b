import assert from 'node:assert/strict'
import { existsSync, mkdirSync, renameSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import { DirectoryAccess } from '../../lib/files/directory-handle.ts'
import { type SweepContext, sweepUntracked, UnchangedSince } from '../../lib/files/untracked-files.ts'
import { snapshot } from '../support/files/cache.ts'
import { filesBelow, scratch } from '../support/files/disk.ts'

describe('the sweep of files that an app has written itself', () => {
  it('deletes what has not changed for the age, at every level, and directories that become empty', async t => {
    const { directory, sweep, pass, write } = untrackedFiles(t)
    write('a', 'b/c', 'b/d/e')
    mkdirSync(join(directory, 'f/g'), { recursive: true })
    assert.equal(await sweep(), 3 * 4096)
    pass(AGE)
    assert.equal(await sweep(), 0)
    assert.equal(snapshot(directory).split('\n').length, 1)
  })

  it('keeps new files, and counts their bytes', async t => {
    const { directory, sweep, pass, write } = untrackedFiles(t)
    write('a', 'b/c')
    for (let times = 0; times < 2; times++) {
      assert.equal(await sweep(), 2 * 4096)
      pass(AGE / 2)
    }
    write('late')
    assert.equal(await sweep(), 4096)
    assert.deepEqual(filesBelow(directory), ['late'])
  })

  it('measures the age by the monotonic clock, whatever the times of a file are', async t => {
    const { directory, sweep, pass, write } = untrackedFiles(t)
    write('long ago', 'in future')
    utimesSync(join(directory, 'long ago'), 1, 1)
    utimesSync(join(directory, 'in future'), LATER, LATER)
    t.mock.method(Date, 'now', () => LATER * 1000)
    await sweep()
    pass(AGE - 1)
    await sweep()
    assert.deepEqual(filesBelow(directory), ['in future', 'long ago'])
    pass(1)
    await sweep()
    assert.deepEqual(filesBelow(directory), [])
  })

  it('restarts the age when a file was written to, replaced or moved', async t => {
    const { directory, sweep, pass, write } = untrackedFiles(t)
    write('a', 'b', 'c', 'd')
    await sweep()
    pass(AGE)
    writeFileSync(join(directory, 'a'), 'more')
    renameSync(join(directory, 'b'), join(directory, 'e'))
    rmSync(join(directory, 'c'))
    write('c')
    await sweep()
    assert.deepEqual(filesBelow(directory), ['a', 'c', 'e'])
    pass(AGE)
    await sweep()
    assert.deepEqual(filesBelow(directory), [])
  })

  it('keeps a new empty directory', async t => {
    const { directory, sweep } = untrackedFiles(t)
    mkdirSync(join(directory, 'a/b'), { recursive: true })
    await sweep()
    writeFileSync(join(directory, 'a/b/c'), '')
  })

  it('keeps saved files', async t => {
    const { directory, sweepNow, write } = untrackedFiles(t)
    write('sha/saved', 'sha/other')
    await sweepNow(path => path === join(directory, 'sha/saved'))
    assert.deepEqual(filesBelow(directory), ['sha/saved'])
  })

  it('follows no links: to a file, to a directory, or in place of its own directory', async t => {
    const { directory, sweepNow } = untrackedFiles(t)
    const canary = scratch(t)
    writeFileSync(join(canary, 'file'), 'precious')
    const before = snapshot(canary)
    symlinkSync(join(canary, 'file'), join(directory, 'to-file'))
    symlinkSync(canary, join(directory, 'to-directory'))
    symlinkSync('nowhere', join(directory, 'to-nothing'))
    await sweepNow()
    assert.equal(snapshot(directory).split('\n').length, 1)
    rmSync(directory, { recursive: true })
    symlinkSync(canary, directory)
    assert.equal(await sweepNow(), 0)
    assert.equal(snapshot(canary), before)
  })

  it('finds nothing in a directory that does not exist', async t => {
    const { directory, sweepNow } = untrackedFiles(t)
    rmSync(directory, { recursive: true })
    assert.equal(await sweepNow(), 0)
  })

  it('reserves the path of each file that it removes, and keeps a directory with saved files', async t => {
    const { directory, write } = untrackedFiles(t)
    write('a/b', 'c')
    const held: string[] = []
    await sweepUntracked(await access(t), directory, {
      report: assert.ifError,
      isDue: () => true,
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
/** In seconds. */
const LATER = Date.now() / 1000 + 864_000
/** In milliseconds. */
const AGE = 1000

async function access(t: TestContext): Promise<DirectoryAccess> {
  const access = new DirectoryAccess()
  await access.probe(scratch(t))
  return access
}

function untrackedFiles(t: TestContext) {
  const directory = join(scratch(t), 'session')
  mkdirSync(directory)
  const unchanged = new UnchangedSince()
  let now = 0
  const sweep = async (isDue: SweepContext['isDue'], isSaved: (path: string) => boolean = () => false) =>
    sweepUntracked(await access(t), directory, {
      claim: path => (isSaved(path) ? undefined : () => {}),
      isInUse: () => false,
      isDue,
      report: error => assert.fail(`${error}`),
    })
  return {
    directory,
    write(...names: string[]) {
      for (const name of names) {
        mkdirSync(dirname(join(directory, name)), { recursive: true })
        writeFileSync(join(directory, name), BYTES)
      }
    },
    pass(ms: number) {
      now += ms
    },
    /** Old files are deleted. */
    sweep() {
      unchanged.begin()
      return sweep(entry => unchanged.ageOf(entry, now) >= AGE)
    },
    /** Everything is deleted, except saved files. */
    sweepNow: (isSaved?: (path: string) => boolean) => sweep(() => true, isSaved),
  }
}
