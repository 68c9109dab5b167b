// A directory that is replaced by a symbolic link after it was checked, before it is used: nothing outside is created or deleted.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import {
  existsSync,
  mkdirSync,
  readdirSync,
  renameSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import { Worker } from 'node:worker_threads'
import type { CacheConfig } from '../../lib/files/cache.ts'
import { snapshot, testCache } from '../support/files/cache.ts'
import { filesBelow, openBelow, scratch } from '../support/files/disk.ts'
import { failing, pausing } from '../support/files/failing-calls.ts'

const LINUX = { skip: process.platform !== 'linux' && 'needs /proc/self/fd' }
const NAME = 'a.txt'
const BYTES = Buffer.from('bytes')

/** A session with a file and a directory of the app, and copies of both elsewhere. */
async function victim(t: TestContext, options: Partial<CacheConfig> = {}) {
  const made = testCache(t, options)
  const files = made.session()
  const file = await files.save(BYTES, NAME)
  const saved = dirname(file.path)
  const own = join(await files.directory(), 'own')
  mkdirSync(join(own, 'below'), { recursive: true })
  for (const path of [join(own, NAME), join(own, 'below', NAME)]) {
    writeFileSync(path, 'own')
    // New, however long this machine takes to check it.
    utimesSync(path, new Date(), new Date(Date.now() + 3_600_000))
  }
  const canary = join(scratch(t), 'canary')
  for (const directory of ['.', 'saved', 'app', 'app/own', 'app/own/below', 'own', 'own/below', 'below']) {
    mkdirSync(join(canary, directory), { recursive: true })
    writeFileSync(join(canary, directory, NAME), 'precious')
  }
  const before = snapshot(canary)
  const aside = join(scratch(t), 'aside')
  return {
    ...made,
    files,
    file,
    saved,
    own,
    /** Replaces a directory with a link to the canary, which has the same contents. */
    swap(path: string) {
      renameSync(path, aside)
      symlinkSync(path === saved ? join(canary, 'saved') : canary, path)
    },
    aside,
    unchanged: () => assert.equal(snapshot(canary), before),
  }
}

type Victim = Awaited<ReturnType<typeof victim>>
const places: Record<string, (victim: Victim) => string> = {
  'the directory of a file': ({ saved }) => saved,
  'the directory of the session': ({ files }) => files.path,
}
const TEN_DAYS_AHEAD = -864e6

describe('a link that is swapped in', LINUX, () => {
  for (const [what, placeOf] of Object.entries(places)) {
    for (const dedup of ['session', 'cache'] as const) {
      it(`for ${what} while a file is published gets nothing created in its target, with dedup: '${dedup}'`, async t => {
        const made = await victim(t, { dedup })
        const { reached, resume } = pausing(t, 'rename', '.incoming')
        const saving = made.files.save(Buffer.from('more'), 'b.txt')
        await reached
        made.swap(placeOf(made))
        resume()
        await saving
        made.unchanged()
        assert.ok(filesBelow(made.aside).some(path => path.endsWith('b.txt')))
      })
    }

    it(`for ${what} while files are swept gets nothing deleted in its target`, async t => {
      const made = await victim(t)
      made.pass(100)
      const { reached, resume } = pausing(t, 'unlink', `saved/${NAME}`)
      const swept = made.cache.sweep(50)
      await reached
      made.swap(placeOf(made))
      resume()
      await swept
      made.unchanged()
      assert.deepEqual([made.errors, made.files.count], [[], 0])
    })

    it(`for ${what} while it is removed as empty gets nothing deleted in its target`, async t => {
      const made = await victim(t)
      const { reached, resume } = pausing(t, 'unlink', `saved/${NAME}`)
      const takenBack = made.files.undoUpload(made.file)
      await reached
      resume()
      made.swap(placeOf(made))
      await takenBack
      made.unchanged()
    })

    it(`for ${what} while a file is adopted gets nothing deleted in its target`, async t => {
      const made = await victim(t)
      const kept = join(scratch(t), 'kept')
      const { reached, resume } = pausing(t, 'link', `saved/${NAME}`)
      const adopted = made.files.adopt(made.file.sha256, NAME, kept)
      await reached
      made.swap(placeOf(made))
      resume()
      await adopted
      made.unchanged()
      assert.ok(existsSync(kept))
    })
  }

  const below: Record<string, (victim: Victim) => string> = {
    'a directory of the app': ({ own }) => own,
    'a directory below that': ({ own }) => join(own, 'below'),
    'the directory of the session': ({ files }) => files.path,
  }
  for (const [what, placeOf] of Object.entries(below)) {
    for (const call of ['lstat', 'unlink', 'readdir'] as const) {
      it(`for ${what} before an ${call} of the sweep gets nothing deleted in its target`, async t => {
        const made = await victim(t)
        const { reached, resume } = pausing(t, call, call === 'readdir' ? 'own/below' : `own/below/${NAME}`)
        const swept = made.cache.sweep(TEN_DAYS_AHEAD)
        await reached
        made.swap(placeOf(made))
        resume()
        await swept
        made.unchanged()
      })
    }
  }

  for (const [what, call, part] of [
    ['is listed', 'readdir', 'own'],
    ['is emptied', 'unlink', `own/below/${NAME}`],
    ['is removed', 'rmdir', 'own/below'],
  ] as const) {
    it(`while the directory of a session that has ended ${what} gets nothing deleted in its target`, async t => {
      const made = await victim(t)
      const { reached, resume } = pausing(t, call, part)
      const [id] = made.files.path.split('/').slice(-1) as [string]
      const ended = made.cache.end(id)
      await reached
      const [discarded] = readdirSync(join(made.folder, '.trash')) as [string]
      made.swap(join(made.folder, '.trash', discarded, 'app/own', call === 'readdir' ? '' : 'below'))
      resume()
      await ended
      made.unchanged()
      assert.deepEqual(readdirSync(join(made.folder, '.trash')), [])
    })
  }

  it('very often never redirects an access, and no descriptor stays open', async t => {
    const made = await victim(t, { dedup: 'session' })
    const elsewhere = scratch(t)
    for (const directory of ['saved', 'saved/own', 'own', 'below']) {
      mkdirSync(join(elsewhere, directory), { recursive: true })
      for (const name of [NAME, '0', '1', '2']) writeFileSync(join(elsewhere, directory, name), 'precious')
    }
    const before = snapshot(elsewhere)
    const swapper = new Worker(SWAPPER, {
      eval: true,
      workerData: { paths: [made.files.path, made.saved, made.own], elsewhere },
    })
    t.after(() => swapper.terminate())
    await once(swapper, 'message')
    let saved = 0
    for (let round = 0; round < 100; round++) {
      const bytes = Buffer.from(`round ${round}`)
      const saves = ['0', '1', '2'].map(name => made.files.save(bytes, name))
      for (const save of await Promise.allSettled(saves)) if (save.status === 'fulfilled') saved++
      made.pass(10)
      await made.cache.sweep(round % 2 === 0 ? 5 : TEN_DAYS_AHEAD)
    }
    swapper.postMessage('end')
    const [swaps] = (await once(swapper, 'message')) as [number]
    await made.cache.close()
    assert.equal(snapshot(elsewhere), before)
    assert.deepEqual(openBelow(made.cacheDir), [])
    t.diagnostic(`${saved} files saved, ${swaps} swaps`)
    assert.ok(swaps > 100)
  })
})

/** Replaces directories by links and back, as fast as it can. */
const SWAPPER = `
const { renameSync, symlinkSync, unlinkSync } = require('node:fs')
const { parentPort, workerData: { paths, elsewhere } } = require('node:worker_threads')
let swaps = 0
let isOver = false
parentPort.on('message', () => { isOver = true })
function swap() {
  for (let times = 0; times < 20; times++) for (const path of paths) {
    try {
      renameSync(path, path + '-aside')
      symlinkSync(elsewhere, path)
      swaps++
    } catch {}
    try {
      unlinkSync(path)
      renameSync(path + '-aside', path)
    } catch {}
  }
  if (isOver) parentPort.postMessage(swaps)
  else setImmediate(swap)
}
parentPort.postMessage('begun')
swap()
`

describe('if entries can’t be accessed by a descriptor', () => {
  async function withoutDescriptors(t: TestContext, options?: Partial<CacheConfig>): Promise<Victim> {
    failing(t, 'writeFile', '.probe')
    return victim(t, options)
  }

  it('files are saved, swept, adopted and removed with their session', async t => {
    const { cache, session, files, file, folder, own, pass, errors } = await withoutDescriptors(t)
    await session().save(BYTES, NAME)
    const kept = join(scratch(t), 'kept')
    await files.adopt(file.sha256, NAME, kept)
    await files.save(BYTES, NAME)
    pass(100)
    await cache.sweep(50)
    assert.deepEqual(filesBelow(folder).length, 2)
    await cache.sweep(TEN_DAYS_AHEAD)
    assert.equal(existsSync(own), false)
    await files.save(BYTES, NAME)
    await cache.close()
    assert.deepEqual([existsSync(folder), errors], [false, []])
  })

  for (const [what, placeOf] of Object.entries(places)) {
    it(`a link in place of ${what} is not followed`, async t => {
      const made = await withoutDescriptors(t)
      made.swap(placeOf(made))
      await made.files.save(Buffer.from('more'), 'b.txt').catch(() => {})
      made.pass(100)
      await made.cache.sweep(50)
      await made.cache.sweep(TEN_DAYS_AHEAD)
      await made.cache.close()
      made.unchanged()
    })
  }

  it('a link that was swapped in meanwhile is detected', async t => {
    const made = await withoutDescriptors(t)
    const { reached, resume } = pausing(t, 'rename', '.incoming')
    const saving = made.files.save(Buffer.from('more'), 'b.txt')
    await reached
    renameSync(made.saved, made.aside)
    mkdirSync(made.saved)
    resume()
    await assert.rejects(saving, { code: 'CACHE_DIR_UNSAFE' })
  })
})
