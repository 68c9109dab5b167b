import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'

export interface ServerCommand {
  /** The program and its arguments. */
  readonly command: readonly string[]
  /** The folder of its data, which goes with it in the end. */
  readonly folder: string
  /** What kills it without a chance to tidy up. */
  readonly signal: 'KILL' | 'QUIT'
  /** Who runs it, where not everyone may. */
  readonly user?: { readonly uid: number; readonly gid: number } | undefined
  /** Resolves when it answers; tried again until it does. */
  ask(): Promise<unknown>
}

/** A server that only one test process has. Its address stays the same however often it is stopped and started. */
export interface TestServer {
  /** Resolves when it answers. */
  start(): Promise<void>
  /** Kills it, as a crash would. Its data stay. */
  stop(): Promise<void>
  /** Removes its data, where it can do without them. To be called while it is stopped. */
  forget?(): Promise<void>
  /** Kills it for good, and removes its data. */
  remove(): Promise<void>
}

/** A server that ends, and whose folder goes, when this process does, however it does. */
export function guardedServer({ command, folder, signal, user, ask }: ServerCommand): TestServer {
  // In a group of its own, or a Ctrl-C meant for the tests would end it before it has tidied up.
  const guard = spawn('/bin/sh', ['-c', GUARD, 'guard', folder, signal, ...command], {
    cwd: '/',
    detached: true,
    env: { ...process.env, LC_ALL: 'C' },
    stdio: ['pipe', 'pipe', 'inherit'],
    ...user,
  })
  const lines = createInterface(guard.stdout)
  let isOver = false
  guard.once('exit', () => {
    isOver = true
  })
  guard.stdin.on('error', () => {})
  async function tell(order: 'start' | 'stop'): Promise<void> {
    const answered = once(lines, 'line')
    guard.stdin.write(`${order}\n`)
    await answered
  }
  return {
    async start() {
      await tell('start')
      const giveUp = performance.now() + 120_000
      for (let error: unknown = new Error('none'); ; await sleep(20)) {
        try {
          return void (await ask())
        } catch (cause) {
          error = cause
        }
        if (performance.now() > giveUp)
          throw new Error(`Expected ${command[0]} to answer within 120 s`, { cause: error })
      }
    },
    stop: () => tell('stop'),
    async remove() {
      if (isOver) return
      const exit = once(guard, 'exit')
      guard.stdin.end()
      await exit
    },
  }
}

// No handler of this process runs when it is killed; the end of its pipe is seen all the same.
const GUARD = `
folder=$1 signal=$2 server=
shift 2
stop() {
  [ -z "$server" ] || { kill "-$signal" "$server"; wait "$server"; } 2>/dev/null
  server=
}
while read -r order; do
  case $order in
    start) "$@" >>"$folder/log" 2>&1 </dev/null & server=$! ;;
    stop) stop ;;
  esac
  echo done
done
stop
rm -rf "$folder"
`
