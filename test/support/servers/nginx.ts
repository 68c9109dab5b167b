import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { freePort } from './free-port.ts'

/** The blocks of nginx's configuration on a page of the documentation. */
export function nginxBlocks(page: string): string[] {
  const text = readFileSync(new URL(`../../../docs/${page}`, import.meta.url), 'utf8')
  return [...text.matchAll(/^ *```nginx\n(.*?)^ *```$/gms)].map(([, block]) => block as string)
}

/**
 * Runs nginx until the test is over.
 * @param configure the content of nginx's block `http`, for a port that nginx is to listen on
 * @returns the port
 */
export async function nginx(t: TestContext, configure: (port: number) => string): Promise<number> {
  const folder = await mkdtemp(join(tmpdir(), 'gradio-state-nginx-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  // Another process may have taken the port before nginx.
  for (let tries = 0; tries < 5; tries++) {
    const port = await freePort()
    const child = run(folder, configure(port))
    t.after(() => stop(child))
    if (await listens(child, port)) return port
  }
  throw new Error(`Expected nginx to start: ${readFileSync(join(folder, 'error.log'), 'utf8')}`)
}

function run(folder: string, http: string): ChildProcess {
  const file = join(folder, 'nginx.conf')
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
  writeFileSync(
    file,
    [
      'daemon off;',
      // A single process, so that a kill ends it.
      'master_process off;',
      `pid ${join(folder, 'pid')};`,
      `error_log ${join(folder, 'error.log')};`,
      'events {}',
      'http {',
      'access_log off;',
      ...temporary.map(name => `${name}_temp_path ${join(folder, name)};`),
      http,
      '}',
    ].join('\n'),
  )
  const log = join(folder, 'error.log')
  return spawn(process.env.NGINX_PATH ?? '/usr/sbin/nginx', ['-e', log, '-p', folder, '-c', file], {
    stdio: 'ignore',
  })
}

/** Whether nginx listens; `false` if it has ended. */
async function listens(child: ChildProcess, port: number): Promise<boolean> {
  while (child.exitCode === null && child.signalCode === null) {
    const socket = connect(port, '127.0.0.1')
    const isOpen = await once(socket, 'connect').then(
      () => true,
      () => false,
    )
    socket.destroy()
    if (isOpen) return true
    await sleep(10)
  }
  return false
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  child.kill('SIGKILL')
  await once(child, 'exit')
}
