// The example app on three nodes behind a balancer without sticky sessions, as `npm run start:cluster` starts it.

import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { describe, it, type TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { Page } from 'playwright-core'
import sharp from 'sharp'
import {
  gallery,
  generate,
  isConnected,
  open,
  picture,
  until,
  useBrowser,
} from '../support/browser/browser.ts'
import { filesBelow } from '../support/files/disk.ts'
import { program } from '../support/program.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))

interface Cluster {
  readonly url: string
  readonly cacheDir: string
  readonly process: ChildProcess
  readonly lines: readonly string[]
  /** The nodes' processes. */
  readonly pids: readonly number[]
  /** The nodes' output lines of this kind, without the nodes' names. */
  said(what: string): string[]
}

async function startCluster(t: TestContext, settings: Record<string, string> = {}): Promise<Cluster> {
  const folder = await mkdtemp(path.join(tmpdir(), 'gradio-state-browser-'))
  const cacheDir = path.join(folder, 'cache')
  const child = spawn(process.execPath, program('example-app/server-cluster.ts'), {
    cwd: root,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      ...{ ...process.env, REDIS_URL: '', TMPDIR: folder, CACHE_DIR: cacheDir, PORT: '0' },
      ...{ GRACE_PERIOD: '3600', ...settings },
    },
  })
  const lines: string[] = []
  for (const stream of [child.stdout, child.stderr])
    createInterface(stream).on('line', line => lines.push(line))
  t.after(async () => {
    if (child.exitCode === null && child.signalCode === null) {
      // The processes that it started then end by themselves.
      child.kill('SIGKILL')
      await once(child, 'exit')
    }
    await rm(folder, { recursive: true, force: true, maxRetries: 50, retryDelay: 100 })
  })
  const listening = () => lines.find(line => line.startsWith('Listening on '))
  await until(() => listening() !== undefined || child.exitCode !== null, 'the cluster listens')
  const url = listening()?.replace('Listening on ', '') ?? assert.fail(lines.join('\n'))
  const pids = lines.flatMap(line => Number(/^node-\d is process (\d+)/.exec(line)?.[1]) || [])
  const said = (what: string) =>
    lines.flatMap(line => (/^node-\d (.*)/.exec(line)?.[1]?.startsWith(`${what} `) ? [line.slice(7)] : []))
  return { url, cacheDir, process: child, lines, pids, said }
}

/** Waits until a node has printed this. */
async function waitFor({ said, lines }: Cluster, what: string, seconds = 120): Promise<string[]> {
  await until(() => said(what).length > 0, what, seconds).catch(() =>
    assert.fail(`Expected ${what} within ${seconds} s, got\n${lines.join('\n')}`),
  )
  return said(what)
}

/** Which nodes have answered this many requests of the page. */
function answeredBy(tab: Page, requests: number): Promise<string[]> {
  return tab.evaluate(async requests => {
    const nodes = new Set<string>()
    for (let i = 0; i < requests; i++) nodes.add((await (await fetch('/summary')).json()).node)
    return [...nodes].sort()
  }, requests)
}

/** The statuses of the files at these URLs, each requested often enough to reach every node. */
function statuses(tab: Page, urls: string[]): Promise<number[]> {
  return tab.evaluate(async urls => {
    const statuses = new Set<number>()
    for (const url of urls) {
      for (let i = 0; i < 6; i++) statuses.add((await fetch(url, { cache: 'reload' })).status)
    }
    return [...statuses]
  }, urls)
}

function sources(tab: Page, images: string): Promise<string[]> {
  return tab.$$eval(images, images => images.map(image => image.getAttribute('src') ?? ''))
}

/** All images of the page have loaded. */
async function imagesLoad(tab: Page): Promise<void> {
  await tab.waitForFunction(() =>
    [...document.images].every(image => image.complete && image.naturalWidth > 0),
  )
}

async function upload(tab: Page, name: string, to: number): Promise<void> {
  const png = await sharp({ create: { width: 40, height: 40, channels: 3, background: 'red' } })
    .png()
    .toBuffer()
  await tab.setInputFiles('#own-files', { name, mimeType: 'image/png', buffer: png })
  await tab.waitForFunction(to => document.querySelectorAll('#uploads li').length === to, to)
}

/** What the cluster has put into the directory for temporary files. */
async function own(folder: string): Promise<string[]> {
  return (await readdir(folder)).filter(name => name.startsWith('gradio-state-cluster-'))
}

const isAlive = (pid: number) => {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

describe('on three nodes', () => {
  const browser = useBrowser()

  it('a user has one history, one set of files and one end, whichever node responds', async t => {
    const cluster = await startCluster(t, { GRACE_PERIOD: '6' })
    const context = await browser.newContext()
    const stranger = await browser.newContext()
    const tab = await open(context, cluster.url)
    const names = [await picture(tab)]
    for (let i = 0; i < 5; i++) names.push(await generate(tab))
    await upload(tab, 'own.png', 1)
    await upload(tab, 'second.png', 2)
    assert.deepEqual(await gallery(tab), names)
    assert.deepEqual(await answeredBy(tab, 9), ['node-1', 'node-2', 'node-3'])
    assert.match((await tab.textContent('#node')) ?? '', /^Answered by node-\d$/)

    for (let round = 0; round < 3; round++) {
      await tab.reload()
      await until(() => isConnected(tab), 'the page is connected')
      await picture(tab)
      assert.deepEqual(await gallery(tab), names)
      await imagesLoad(tab)
    }
    const urls = [...(await sources(tab, '#gallery img')), ...(await sources(tab, '#uploads img'))]
    assert.equal(urls.length, names.length + 2)
    assert.deepEqual(await statuses(tab, urls), [200])
    const other = await open(stranger, cluster.url)
    assert.deepEqual(await statuses(other, urls), [404])
    await other.goto('about:blank')

    const [load, ...loads] = cluster.said('LOAD')
    const id = load?.replace('LOAD ', '') as string
    assert.equal(loads.length, 1, 'that of the other user')
    assert.deepEqual(
      cluster.said('UNLOAD').filter(line => line.includes(id)),
      [],
    )
    await context.close()
    await waitFor(cluster, `UNLOAD ${id}`, 10)
    await waitFor(cluster, `ENDED ${id}`)
    await waitFor(cluster, `ENDED ${loads[0]?.replace('LOAD ', '')}`)
    await until(() => filesBelow(cluster.cacheDir).length === 0, 'all files are gone')
    assert.deepEqual(
      cluster.lines.filter(line => line.includes(id)).map(line => line.slice(7)),
      [
        `LOAD ${id}`,
        `UNLOAD ${id} disconnected`,
        `STATE DELETED ${id} ${names.length} disconnected`,
        `ENDED ${id} disconnected`,
      ],
    )
    await stranger.close()
  })

  it('continues when a node is killed, without unloading anyone', async t => {
    const cluster = await startCluster(t)
    const context = await browser.newContext()
    const tab = await open(context, cluster.url)
    for (let i = 0; i < 3; i++) await generate(tab)
    const names = await gallery(tab)
    for (const pid of cluster.pids.slice(0, 2)) {
      process.kill(pid, 'SIGKILL')
      await until(() => isConnected(tab), 'the page is connected')
      // Requests in flight to the node are lost; the page retries.
      await until(async () => {
        try {
          names.push(await generate(tab))
          return true
        } catch {
          return false
        }
      }, 'a new picture')
      await until(() => isConnected(tab), 'the page is connected')
    }
    await tab.reload()
    await until(async () => (await gallery(tab)).length === names.length, 'the whole history')
    await imagesLoad(tab)
    assert.deepEqual(await gallery(tab), names)
    assert.deepEqual(await answeredBy(tab, 6), ['node-3'])
    // Longer than the lease of a dead node.
    await sleep(16_000)
    assert.deepEqual([cluster.said('LOAD').length, cluster.said('UNLOAD')], [1, []])
    await context.close()
    await waitFor(cluster, 'UNLOAD', 10)
    await sleep(3000)
    assert.equal(cluster.said('UNLOAD').length, 1)
  })

  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    it(`${signal} shuts it down gracefully, and nothing is left`, async t => {
      const cluster = await startCluster(t)
      const folder = path.dirname(cluster.cacheDir)
      assert.equal((await own(folder)).length, 1)
      const context = await browser.newContext()
      const tab = await open(context, cluster.url)
      await generate(tab)
      await upload(tab, 'own.png', 1)
      const id = cluster.said('LOAD')[0]?.replace('LOAD ', '')
      const from = cluster.lines.length
      cluster.process.kill(signal)
      const [code] = await once(cluster.process, 'close')
      assert.equal(code, 0, cluster.lines.join('\n'))
      const said = cluster.lines.slice(from).map(line => line.replace(/^node-\d /, ''))
      const closed = said.filter(line => line === 'CLOSED')
      assert.equal(closed.length, cluster.pids.length)
      assert.deepEqual(
        said.filter(line => line !== 'CLOSED'),
        [`UNLOAD ${id} ended`, `STATE DELETED ${id} 2 ended`, `ENDED ${id} ended`],
      )
      assert.deepEqual(cluster.pids.filter(isAlive), [])
      assert.deepEqual(filesBelow(cluster.cacheDir), [])
      assert.deepEqual(await own(folder), [])
      await context.close()
    })
  }

  it('explains what to do if there is no Redis', async t => {
    await assert.rejects(startCluster(t, { PATH: '/nowhere' }), /apt install redis-server.*REDIS_URL/s)
    await assert.rejects(startCluster(t, { REDIS_URL: 'redis://127.0.0.1:1' }), /REDIS_URL: expected a Redis/)
  })
})
