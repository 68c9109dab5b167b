import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import { isAlive, OWNER_FILE, type Owner, ownerOf, readOwner } from '../../lib/files/owner.ts'
import { scratch } from '../support/files/disk.ts'
import { DEAD, leaveInstance, ownerIn } from '../support/files/leftover-instance.ts'
import { until } from '../support/http/express.ts'
import { program } from '../support/program.ts'

const INSTANCE = '11111111-2222-4333-8444-555555555555'
const SELF = ownerOf(INSTANCE)
const HOUR = 3_600_000

describe('whether the process that created a directory is alive', () => {
  it('is decided by its pid if that is visible, however old the lease is', () => {
    assert.equal(isAlive(SELF, SELF, HOUR), true)
    assert.equal(isAlive({ ...SELF, ...DEAD }, SELF, 0), false)
  })

  it('is decided by the start time of the process if a pid was reused', () => {
    assert.equal(isAlive({ ...SELF, started: '1' }, SELF, 0), false)
    assert.equal(isAlive({ ...SELF, pid: process.ppid }, SELF, 0), false)
  })

  it('is decided by the lease if the pid belongs to another process', () => {
    for (const elsewhere of [{ host: 'elsewhere' }, { boot: 'another' }, { namespace: 'pid:[1]' }]) {
      for (const pid of [process.pid, DEAD.pid, 1]) {
        const owner = { ...SELF, ...elsewhere, pid }
        assert.equal(isAlive(owner, SELF, 59_000), true)
        assert.equal(isAlive(owner, SELF, 61_000), false)
        assert.equal(isAlive(owner, SELF, -5_000), true, 'a clock that is ahead')
      }
    }
  })

  it('is decided by pid and lease together if the start time of a process is unknown', () => {
    const blind = { ...SELF, boot: '', namespace: '', started: '' }
    assert.equal(isAlive(blind, blind, 59_000), true)
    assert.equal(isAlive({ ...blind, ...DEAD }, blind, 0), false)
    assert.equal(isAlive(blind, blind, 61_000), false)
  })

  it('is false after it was killed and its parent has not waited for it', async t => {
    // The shell becomes a program that never waits for its child.
    const parent = spawn('sh', ['-c', 'sleep 0.05 & echo $!; exec sleep 60'])
    t.after(() => parent.kill('SIGKILL'))
    const [line] = (await once(parent.stdout, 'data')) as [Buffer]
    const pid = Number(line.toString())
    const read = () => readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ')
    const started = read()[19]!
    await until(() => read()[0] === 'Z')
    assert.equal(isAlive({ ...SELF, pid, started }, SELF, 0), false)
  })
})

describe('the owner of a directory', () => {
  it('is read from a complete directory, and from an incomplete one', async t => {
    const cacheDir = scratch(t)
    const folder = leaveInstance(cacheDir, { instance: INSTANCE })
    assert.deepEqual((await readOwner(folder))?.owner, SELF)
    renameSync(folder, join(cacheDir, `.${INSTANCE}.new`))
    assert.deepEqual((await readOwner(join(cacheDir, `.${INSTANCE}.new`)))?.owner, SELF)
  })

  it('has a lease since its file was last touched', async t => {
    const found = await readOwner(leaveInstance(scratch(t), { leaseAge: 100 }))
    assert.ok(Math.abs(Date.now() - 100_000 - found!.leasedAt) < 5_000)
  })

  it('is unknown if anything is not as the library creates it', async t => {
    const wrong: Record<string, unknown> = {
      'nothing in it': '',
      'no JSON': '{',
      null: 'null',
      'another format': { ...SELF, gradioState: 2 },
      'no format': { ...SELF, gradioState: undefined },
      'another instance': { ...SELF, instance: '11111111-2222-4333-8444-555555555556' },
      'no uuid': { ...SELF, instance: 'home' },
      'a pid that is no number': { ...SELF, pid: '1' },
      'no pid': { ...SELF, pid: undefined },
      'no host': { ...SELF, host: undefined },
      'no start': { ...SELF, started: 7 },
      'a list': [SELF],
    }
    for (const [what, owner] of Object.entries(wrong)) {
      const folder = leaveInstance(scratch(t), { instance: INSTANCE })
      const text = typeof owner === 'string' ? owner : JSON.stringify(owner)
      writeFileSync(join(folder, OWNER_FILE), text)
      assert.equal(await readOwner(folder), undefined, what)
    }
  })

  it('is unknown if the directory or its file is a link, or not a file', async t => {
    const cacheDir = scratch(t)
    const folder = leaveInstance(scratch(t), { instance: INSTANCE })
    symlinkSync(folder, join(cacheDir, INSTANCE))
    assert.equal(await readOwner(join(cacheDir, INSTANCE)), undefined)
    renameSync(join(folder, OWNER_FILE), join(folder, 'elsewhere.json'))
    symlinkSync('elsewhere.json', join(folder, OWNER_FILE))
    assert.equal(await readOwner(folder), undefined)
    rmSync(join(folder, OWNER_FILE))
    mkdirSync(join(folder, OWNER_FILE))
    assert.equal(await readOwner(folder), undefined)
    assert.equal(await readOwner(join(cacheDir, 'missing')), undefined)
  })
})

describe('processes that are all pid 1, on one volume', { skip: !canUnshare() && 'needs unshare' }, () => {
  it('consider each other alive by their leases', async t => {
    const cacheDir = scratch(t)
    const one = await contained(t, cacheDir)
    const other = await contained(t, cacheDir)
    assert.deepEqual([one.owner.pid, other.owner.pid], [1, 1])
    assert.notEqual(one.owner.namespace, other.owner.namespace)
    assert.equal(isAlive(one.owner, other.owner, 0), true)
    assert.equal(isAlive(one.owner, SELF, 0), true)
    assert.equal(isAlive(one.owner, SELF, 61_000), false)
    assert.equal(isAlive(one.owner, one.owner, 0), false, 'pid 1 of this namespace is another process')
    // Before the directory is removed: a process that is alive creates its directory again.
    await Promise.all([one.stop(), other.stop()])
  })
})

/** A process in its own namespace, which has saved a file. */
async function contained(
  t: TestContext,
  cacheDir: string,
): Promise<{ owner: Owner; stop(): Promise<unknown> }> {
  const script = program('test/support/files/cache-process.ts')
  const args = ['--pid', '--fork', '--kill-child', '--mount-proc', process.execPath, ...script]
  const child = spawn('unshare', [...args, cacheDir], { stdio: ['pipe', 'pipe', 'inherit'] })
  // `close` is emitted when no process has its output open any more, including the inner one.
  const closed = once(child, 'close')
  const stop = () => {
    child.kill('SIGKILL')
    return closed
  }
  t.after(stop)
  const [line] = (await once(child.stdout, 'data')) as [Buffer]
  return { owner: ownerIn(dirname(dirname(dirname(line.toString().trim())))), stop }
}

function canUnshare(): boolean {
  return spawnSync('unshare', ['--pid', '--fork', '--kill-child', '--mount-proc', 'true']).status === 0
}
