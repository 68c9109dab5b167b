import assert from 'node:assert/strict'
import { mkdirSync, rmdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import { DiskThread } from '../../lib/files/disk-thread.ts'
import { ShelfTrips, visitShelves } from '../../lib/files/slot-trip.ts'
import { type Call, type Disk, pool } from '../../lib/files/trips.ts'
import { filesBelow, scratch } from '../support/disk.ts'

const disks: Record<string, () => Disk> = {
  'the pool': () => pool,
  'the thread': () => new DiskThread(),
}

/** A session with three shelves of files. */
function session(t: TestContext) {
  const directory = join(scratch(t), 'session')
  const shelves = ['saved', 'saved-2', 'saved-3'].map(name => join(directory, name))
  for (const shelf of shelves) {
    mkdirSync(shelf, { recursive: true })
    for (const name of ['a', 'b', 'c']) writeFileSync(join(shelf, name), name)
  }
  const visits = shelves.map(shelf => ({
    shelf,
    calls: ['a', 'b', 'c'].map((name): Call => ['unlink', join(shelf, name)]),
  }))
  return { directory, visits }
}

for (const [name, make] of Object.entries(disks)) {
  describe(`a trip to shelves by ${name}`, () => {
    it('removes files, and what is not there', async t => {
      const { directory, visits } = session(t)
      const calls: Call[] = [...visits[0]!.calls, ['unlink', join(directory, 'saved/none')]]
      const failed = await visitShelves(make(), [{ ...visits[0]!, calls }, ...visits.slice(2)])
      assert.deepEqual([filesBelow(directory), failed.size], [['saved-2/a', 'saved-2/b', 'saved-2/c'], 0])
    })

    it('removes directories, if they are empty', async t => {
      const { directory, visits } = session(t)
      await visitShelves(make(), visits.slice(1, 2))
      const failed = await visitShelves(
        make(),
        visits.map(({ shelf }) => ({ shelf, calls: [['rmdir', shelf]] })),
      )
      assert.equal(failed.size, 0)
      assert.deepEqual(
        filesBelow(directory),
        ['a', 'b', 'c'].flatMap(file => [`saved/${file}`, `saved-3/${file}`]).sort(),
      )
      assert.throws(() => rmdirSync(join(directory, 'saved-2')), { code: 'ENOENT' })
    })

    it('goes on after calls that fail, and tells which and why', async t => {
      const { directory, visits } = session(t)
      for (const path of ['saved/wrong', 'saved-3/wrong']) mkdirSync(join(directory, path))
      const wrong = ['saved/wrong', 'saved-3/wrong'].map((path): Call => ['unlink', join(directory, path)])
      const [first, second, third] = visits
      const failed = await visitShelves(make(), [
        { ...first!, calls: [wrong[0]!, ...first!.calls] },
        second!,
        { ...third!, calls: [...third!.calls, wrong[1]!] },
      ])
      assert.deepEqual([...failed.keys()], wrong)
      for (const error of failed.values()) assert.equal((error as NodeJS.ErrnoException).syscall, 'unlink')
      assert.deepEqual(filesBelow(directory), [])
    })

    for (const what of ['shelf', 'session'] as const) {
      it(`does nothing through a link in place of a ${what}, and goes on`, async t => {
        const other = session(t)
        const { directory, visits } = session(t)
        const link = what === 'shelf' ? join(other.directory, 'link') : join(directory, '..', 'link')
        symlinkSync(what === 'shelf' ? join(directory, 'saved') : directory, link)
        const shelf = what === 'shelf' ? link : join(link, 'saved')
        const calls: Call[] = [
          ['unlink', join(shelf, 'a')],
          ['rmdir', shelf],
        ]
        const failed = await visitShelves(make(), [{ shelf, calls }, visits[1]!])
        assert.equal(failed.size, 0)
        assert.deepEqual(
          filesBelow(directory),
          ['saved', 'saved-3'].flatMap(at => ['a', 'b', 'c'].map(file => `${at}/${file}`)).sort(),
        )
      })
    }
  })
}

describe('a trip to shelves', () => {
  it('tells of each call on a shelf that can’t be looked at, and goes on', async t => {
    const { directory, visits } = session(t)
    const disk: Disk = {
      async run(trip) {
        const done = trip.findIndex(([name, path]) => name === 'directory' && `${path}`.endsWith('saved-2'))
        if (done < 0) return pool.run(trip)
        await pool.run(trip.slice(0, done))
        throw Object.assign(new Error('not readable'), { code: 'EACCES', done })
      },
    }
    const failed = await visitShelves(disk, visits)
    assert.deepEqual([...failed.keys()], visits[1]!.calls)
    assert.deepEqual(filesBelow(directory), ['saved-2/a', 'saved-2/b', 'saved-2/c'])
  })

  it('tells of all calls when it did not come about', async t => {
    const { visits } = session(t)
    const disk: Disk = { run: () => Promise.reject(new Error('no trip')) }
    const failed = await visitShelves(disk, visits)
    assert.deepEqual(
      [...failed.keys()],
      visits.flatMap(({ calls }) => calls),
    )
  })
})

describe('trips to shelves', () => {
  it('are one for all that is asked for at once, and another for what comes after', async t => {
    const { directory, visits } = session(t)
    let made = 0
    const trips = new ShelfTrips({
      run: trip => {
        made++
        return pool.run(trip)
      },
    })
    const visit = async (index: number) => assert.equal((await trips.visit([visits[index]!])).size, 0)
    await Promise.all([visit(0), visit(1)])
    assert.deepEqual([made, filesBelow(directory)], [1, ['saved-3/a', 'saved-3/b', 'saved-3/c']])
    await visit(2)
    assert.deepEqual([made, filesBelow(directory)], [2, []])
  })

  it('tell everybody what has failed', async t => {
    const { visits } = session(t)
    const wrong: Call = ['unlink', join(visits[0]!.shelf, 'directory')]
    mkdirSync(wrong[1])
    const trips = new ShelfTrips(pool)
    const [failed, others] = await Promise.all([
      trips.visit([{ shelf: visits[0]!.shelf, calls: [wrong] }]),
      trips.visit(visits.slice(1)),
    ])
    assert.deepEqual([[...failed.keys()], [...others.keys()]], [[wrong], [wrong]])
  })
})
