import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import {
  closeSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { DiskThread } from '../../lib/files/disk-thread.ts'
import { type Call, type Disk, pool } from '../../lib/files/trips.ts'
import { filesBelow, openBelow, scratch, smallDisk } from '../support/disk.ts'
import { unique } from '../support/multipart.ts'

const shaOf = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')

const disks: Record<string, () => Disk> = {
  'the pool': () => pool,
  'the thread': () => new DiskThread(),
  'the pool in place of a thread': () => new DiskThread('this is no program'),
}
for (const [name, make] of Object.entries(disks)) {
  describe(`a trip to ${name}`, () => {
    it('makes a file for its owner only, and puts it in its place', async t => {
      const directory = scratch(t)
      const [from, to, bytes] = [join(directory, 'from'), join(directory, 'to'), unique(250_000)]
      await make().run([
        ['create', from, bytes],
        ['directory', directory],
        ['absent', to],
        ['rename', from, to],
      ])
      assert.deepEqual(readFileSync(to), bytes)
      assert.equal(statSync(to).mode & 0o777, 0o600)
      assert.deepEqual([filesBelow(directory), openBelow(directory)], [['to'], []])
    })

    it('ends where a call fails, and tells what, where and after how many', async t => {
      const directory = scratch(t)
      const path = (...names: string[]) => join(directory, ...names)
      writeFileSync(path('file'), 'text')
      mkdirSync(path('directory'))
      for (const [to, link] of [
        ['directory', 'link'],
        ['nowhere', 'broken'],
      ] as const)
        symlinkSync(path(to), path(link))
      const failing: [Call, string, string][] = [
        [['directory', path('file')], 'ENOTDIR', 'lstat'],
        [['directory', path('link')], 'ENOTDIR', 'lstat'],
        [['directory', path('none')], 'ENOENT', 'lstat'],
        [['absent', path('file')], 'EEXIST', 'lstat'],
        [['absent', path('directory')], 'EEXIST', 'lstat'],
        [['absent', path('broken')], 'EEXIST', 'lstat'],
        [['absent', path('file', 'below')], 'ENOTDIR', 'lstat'],
        [['rename', path('none'), path('other')], 'ENOENT', 'rename'],
        [['create', path('none', 'file'), unique(10)], 'ENOENT', 'open'],
      ]
      const disk = make()
      for (const [call, code, syscall] of failing) {
        const trip: Call[] = [['directory', directory], call, ['create', path('never'), unique(1)]]
        const [, at] = call
        await assert.rejects(disk.run(trip), { code, syscall, path: at, done: 1 }, `${call[0]} ${at}`)
      }
      assert.deepEqual(filesBelow(directory), ['broken', 'file', 'link'])
    })

    it('makes a directory for its owner only, and leaves what is there to be looked at', async t => {
      const directory = scratch(t)
      const path = (...names: string[]) => join(directory, ...names)
      writeFileSync(path('file'), 'text')
      mkdirSync(path('elsewhere'))
      symlinkSync(path('elsewhere'), path('link'))
      const disk = make()
      for (let times = 0; times < 2; times++)
        await disk.run([
          ['mkdir', path('new')],
          ['directory', path('new')],
        ])
      assert.equal(statSync(path('new')).mode & 0o777, 0o700)
      for (const name of ['file', 'link']) {
        const trip: Call[] = [
          ['mkdir', path(name)],
          ['directory', path(name)],
        ]
        await assert.rejects(disk.run(trip), { code: 'ENOTDIR', path: path(name), done: 1 })
      }
      await assert.rejects(disk.run([['mkdir', path('none', 'new')]]), { code: 'ENOENT', syscall: 'mkdir' })
    })

    it('removes files, links and empty directories, and takes what is not there for removed', async t => {
      const directory = scratch(t)
      const path = (...names: string[]) => join(directory, ...names)
      for (const name of ['full', 'empty']) mkdirSync(path(name))
      for (const name of ['file', 'full/file']) writeFileSync(path(name), 'text')
      symlinkSync(path('full/file'), path('link'))
      await make().run([
        ...['file', 'link', 'none'].map(name => ['unlink', path(name)] as const),
        ...['full', 'empty', 'none'].map(name => ['rmdir', path(name)] as const),
      ])
      assert.deepEqual([readdirSync(directory), filesBelow(directory)], [['full'], ['full/file']])
      await assert.rejects(make().run([['rmdir', path('full/file')]]), { code: 'ENOTDIR', syscall: 'rmdir' })
    })

    it('leaves nothing on a full disk, and tells that it is full', async t => {
      const directory = smallDisk(t, 100_000)
      if (directory === undefined) return t.skip('needs the right to mount a disk')
      const trip: Call[] = [['create', join(directory, 'file'), unique(200_000)]]
      await assert.rejects(make().run(trip), { code: 'ENOSPC', syscall: 'write', done: 0 })
      assert.deepEqual([filesBelow(directory), openBelow(directory)], [[], []])
    })

    it('hashes what is written, file by file', async t => {
      const directory = scratch(t)
      const disk = make()
      const all = [0, 1, 65_536, 300_000].map((size, id) => {
        const [path, bytes] = [join(directory, `${size}`), unique(size)]
        writeFileSync(path, bytes)
        return { id, bytes, file: openSync(path, 'r') }
      })
      const orders = all.map(({ id, file, bytes }) => disk.run([['hash', id, file, bytes.length >> 1]]))
      const digests = all.map(({ id, file, bytes }) => disk.run([['digest', id, file, bytes.length]]))
      await Promise.all(orders)
      assert.deepEqual(
        await Promise.all(digests),
        all.map(({ bytes }) => shaOf(bytes)),
      )
      const { id, file, bytes } = all.at(-1)!
      await disk.run([['hash', id, file, 1000]])
      await disk.run([['forget', id]])
      assert.equal(await disk.run([['digest', id, file, 2000]]), shaOf(bytes.subarray(0, 2000)))
      await assert.rejects(disk.run([['digest', id, file, 300_001]]), /earlier end/)
      for (const each of all) closeSync(each.file)
    })
  })
}
