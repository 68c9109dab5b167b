import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import {
  chmodSync,
  chownSync,
  existsSync,
  lutimesSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import { InstanceDirectory } from '../../lib/files/instance-directory.ts'
import { OWNER_FILE } from '../../lib/files/owner.ts'
import { snapshot, testCache } from '../support/files/cache.ts'
import { filesBelow, scratch } from '../support/files/disk.ts'
import { ageLease, DEAD, leaveInstance, ownerIn } from '../support/files/leftover-instance.ts'
import { until } from '../support/http/express.ts'
import { warningsIn } from '../support/warnings.ts'

describe('a start', () => {
  it('removes the directories of dead processes, complete or not, and no others', async t => {
    const cacheDir = scratch(t)
    const dead = [leaveInstance(cacheDir, DEAD), leaveInstance(cacheDir, { host: 'elsewhere', leaseAge: 61 })]
    const instance = randomUUID()
    dead.push(leaveInstance(cacheDir, { ...DEAD, instance, name: `.${instance}.new` }))
    const live = [leaveInstance(cacheDir), leaveInstance(cacheDir, { host: 'elsewhere', leaseAge: 30 })]
    const before = live.map(snapshot)
    const errors = await start(t, cacheDir)
    assert.deepEqual(dead.filter(existsSync), [])
    assert.deepEqual(live.map(snapshot), before)
    assert.deepEqual(errors, [])
  })

  it('creates nothing when there is nothing to do', async t => {
    const cacheDir = join(scratch(t), 'not/there')
    const { cache } = testCache(t, { cacheDir })
    await cache.close()
    assert.equal(existsSync(dirname(cacheDir)), false)
  })

  it('removes the directory of a process that was killed before it was complete', async t => {
    const cacheDir = scratch(t)
    const [empty, begun] = [1, 2].map(() => join(cacheDir, `.${randomUUID()}.new`)) as [string, string]
    mkdirSync(empty)
    mkdirSync(begun)
    writeFileSync(join(begun, OWNER_FILE), '')
    await start(t, cacheDir)
    assert.deepEqual([empty, begun].map(existsSync), [true, true], 'it may just be being made')
    for (const folder of [empty, begun]) utimesSync(folder, 1, 1)
    await start(t, cacheDir)
    assert.deepEqual([empty, begun].map(existsSync), [false, false])
  })

  it('never removes anything that was not created by the library', async t => {
    const cacheDir = scratch(t)
    const elsewhere = leaveInstance(scratch(t), DEAD)
    const put = (path: string, text = 'precious') => {
      mkdirSync(dirname(join(cacheDir, path)), { recursive: true })
      writeFileSync(join(cacheDir, path), text)
    }
    // As Gradio for Python stores its files.
    put('3f5a9c0e7d1b2a4c6e8f0a1b3c5d7e9f1a2b4c6d8e0f1a3b5c7d9e1f2a4b6c8d/cat.png')
    put('.bashrc')
    put(`${randomUUID()}/a.txt`)
    put(`${randomUUID()}/owner.json`, '{"owner":"bob"}')
    put(`${randomUUID()}`)
    put(`.${randomUUID()}.new/owner.json`, '{"gradioState":1')
    put(`.${randomUUID()}.new/a.txt`)
    put(`${randomUUID().toUpperCase()}/owner.json`, JSON.stringify(ownerIn(elsewhere)))
    mkdirSync(join(cacheDir, randomUUID()))
    leaveInstance(cacheDir, { ...DEAD, name: 'backup' })
    leaveInstance(cacheDir, { ...DEAD, name: randomUUID() })
    symlinkSync(elsewhere, join(cacheDir, ownerIn(elsewhere).instance))
    for (const name of readdirSync(cacheDir)) if (name !== '.bashrc') age(join(cacheDir, name))
    const before = [cacheDir, elsewhere].map(snapshot)
    assert.deepEqual(await start(t, cacheDir), [])
    assert.deepEqual([cacheDir, elsewhere].map(snapshot), before)
  })

  for (const directory of ['/', homedir()]) {
    it(`deletes nothing in ${directory}`, async t => {
      const before = readdirSync(directory)
      assert.deepEqual(await start(t, directory), [])
      // Another process may have put something there since.
      const after = new Set(readdirSync(directory))
      assert.deepEqual(
        before.filter(name => !after.has(name)),
        [],
      )
    })
  }

  it('removes directories of dead processes concurrently with other instances', async t => {
    const cacheDir = scratch(t)
    for (let i = 0; i < 20; i++) leaveInstance(cacheDir, DEAD)
    const errors = await Promise.all(Array.from({ length: 5 }, () => start(t, cacheDir)))
    assert.deepEqual(errors.flat(), [])
    assert.deepEqual(readdirSync(cacheDir), [])
  })

  it('also removes the trash of a process that has died', async t => {
    const cacheDir = scratch(t)
    const remover = leaveInstance(cacheDir, DEAD)
    renameSync(leaveInstance(cacheDir, DEAD), join(remover, '.trash', randomUUID()))
    await start(t, cacheDir)
    assert.deepEqual(readdirSync(cacheDir), [])
  })

  it("does not consider a process dead that has only removed others' directories", async t => {
    const cacheDir = scratch(t)
    leaveInstance(cacheDir, DEAD)
    const { folder, tick, session } = testCache(t, { cacheDir })
    await until(() => existsSync(folder) && readdirSync(cacheDir).length === 1)
    ageLease(folder, 100)
    await tick(10_000)
    assert.ok(Date.now() - statSync(join(folder, OWNER_FILE)).mtimeMs < 5_000)
    await session().save(Buffer.from('bytes'), 'a.txt')
  })
})

describe('the directory of an instance', () => {
  it('is readable only by its user, with everything in it', async t => {
    const { session, folder, cacheDir } = testCache(t, {
      cacheDir: join(scratch(t), 'cache'),
      dedup: 'cache',
    })
    const files = session()
    const { path } = await files.save(Buffer.from('bytes'), 'a.txt')
    const directories = [cacheDir, folder, dirname(path), dirname(dirname(path)), await files.directory()]
    for (const directory of [...directories, ...['.incoming', '.trash', 'blobs'].map(x => join(folder, x))])
      assert.equal(statSync(directory).mode & 0o777, 0o700, directory)
    for (const file of [path, join(folder, OWNER_FILE)])
      assert.equal(statSync(file).mode & 0o777, 0o600, file)
  })

  it('is removed with its contents when the instance closes, and nothing else', async t => {
    const cacheDir = scratch(t)
    const neighbour = testCache(t, { cacheDir })
    const kept = await neighbour.session().save(Buffer.from('bytes'), 'a.txt')
    const { cache, session, folder } = testCache(t, { cacheDir, dedup: 'cache' })
    const files = session()
    await files.save(Buffer.from('bytes'), 'a.txt')
    writeFileSync(join(await files.directory(), 'b.txt'), 'more')
    const before = snapshot(neighbour.folder)
    await cache.close()
    assert.equal(existsSync(folder), false)
    assert.equal(snapshot(neighbour.folder), before)
    assert.ok(existsSync(kept.path))
  })

  it('is restored after the system has cleaned up', async t => {
    const { session, folder, cacheDir, tick, errors, cache } = testCache(t, { dedup: 'cache' })
    const save = () => session().save(Buffer.from('bytes'), 'a.txt')
    for (const lost of [join(folder, '.incoming'), join(folder, '.trash'), folder, cacheDir]) {
      await save()
      rmSync(lost, { recursive: true })
      await tick(10_000)
      await save()
    }
    assert.deepEqual(errors, [])
    await cache.close()
    assert.deepEqual(readdirSync(cacheDir), [])
  })

  it("deletes the files of a session that ends while the trash can't be created", async t => {
    const { cache, folder } = testCache(t)
    const { path } = await cache.of('a', () => {}).save(Buffer.from('bytes'), 'a.txt')
    rmSync(join(folder, '.trash'), { recursive: true })
    await cache.end('a')
    assert.equal(existsSync(path), false)
    assert.deepEqual(filesBelow(folder), [])
  })

  it('may be in a directory that the app has a link to', async t => {
    const directory = scratch(t)
    mkdirSync(join(directory, 'real'))
    symlinkSync('real', join(directory, 'link'))
    const { session, cache } = testCache(t, { cacheDir: join(directory, 'link') })
    await session().save(Buffer.from('bytes'), 'a.txt')
    assert.equal(filesBelow(join(directory, 'real')).length, 1)
    await cache.close()
    assert.deepEqual(readdirSync(join(directory, 'real')), [])
  })

  it('is created by the next file if it could not be created before', async t => {
    const directory = scratch(t)
    writeFileSync(join(directory, 'file'), '')
    symlinkSync('file', join(directory, 'cache'))
    const { session, errors } = testCache(t, { cacheDir: join(directory, 'cache') })
    await assert.rejects(session().save(Buffer.from('bytes'), 'a.txt'))
    rmSync(join(directory, 'cache'))
    await session().save(Buffer.from('bytes'), 'a.txt')
    assert.equal(errors.length, 1, 'of the start')
  })
})

it('a cacheDir of the app that all users can write to causes a warning with its code', async t => {
  const warnings = warningsIn(t)
  const cacheDir = scratch(t)
  const open = () => new InstanceDirectory(cacheDir, false, false)
  for (const mode of [0o700, 0o770, 0o1777]) {
    chmodSync(cacheDir, mode)
    open()
  }
  await setImmediate()
  assert.deepEqual(warnings, [])
  chmodSync(cacheDir, 0o777)
  open()
  await setImmediate()
  assert.deepEqual(warnings, ['GRADIO_STATE_CACHE_DIR_WRITABLE'])
})

describe('the default directory', () => {
  const open = (path: string) => new InstanceDirectory(path, true, false)

  it('is rejected if it is a link or a file, or if others can write to it', t => {
    const directory = scratch(t)
    mkdirSync(join(directory, 'real'), { mode: 0o700 })
    symlinkSync('real', join(directory, 'link'))
    symlinkSync('nowhere', join(directory, 'dangling'))
    writeFileSync(join(directory, 'file'), '')
    mkdirSync(join(directory, 'shared'))
    chmodSync(join(directory, 'shared'), 0o777)
    const refused = (name: string) =>
      assert.throws(() => open(join(directory, name)), unsafe(join(directory, name)))
    for (const name of ['link', 'dangling', 'file', 'shared']) refused(name)
    open(join(directory, 'real'))
    open(join(directory, 'missing'))
  })

  it('is rejected if it belongs to another user', { skip: process.getuid?.() !== 0 && 'needs root' }, t => {
    const directory = join(scratch(t), 'cache')
    mkdirSync(directory, { mode: 0o700 })
    chownSync(directory, 65534, 65534)
    assert.throws(() => open(directory), unsafe('another user'))
  })

  it('is rejected if another user has put a link there meanwhile', async t => {
    const directory = scratch(t)
    mkdirSync(join(directory, 'elsewhere'))
    const folder = open(join(directory, 'cache'))
    symlinkSync('elsewhere', join(directory, 'cache'))
    await assert.rejects(folder.create(), unsafe('a link'))
    assert.deepEqual(readdirSync(join(directory, 'elsewhere')), [])
  })
})

const unsafe = (about: string) => (error: Error & { code?: string }) =>
  error.code === 'CACHE_DIR_UNSAFE' && error.message.includes(about)

/** So old that it can't be in creation. */
function age(path: string): void {
  lutimesSync(path, 1, 1)
}

/** Starts an instance, and closes it when it has removed what it found. Returns the reported errors. */
async function start(t: TestContext, cacheDir: string): Promise<unknown[]> {
  const { cache, errors } = testCache(t, { cacheDir })
  await cache.close()
  return errors
}
