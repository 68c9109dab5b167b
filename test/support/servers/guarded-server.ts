import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'

export interface ServerCommand {
  /** The program and its arguments. */
  readonly command: readonly string[]
  /** The folder of its data, which is removed at the end. */
  readonly folder: string
  /** How it is killed without a chance to clean up. */
  readonly signal: 'KILL' | 'QUIT'
  /** The user who runs it, if not everyone may. */
  readonly user?: { readonly uid: number; readonly gid: number } | undefined
  /** Resolves when the server responds; retried until it does. */
  ask(): Promise<unknown>
}

/** A server for one test process. Its address stays the same when it is stopped and started. */
export interface TestServer {
  /** Resolves when it responds. */
  start(): Promise<void>
  /** Kills it, as a crash would. Its data stay. */
  stop(): Promise<void>
  /** Removes its data, if it can start without them. Has to be called while it is stopped. */
  forget?(): Promise<void>
  /** Kills it permanently, and removes its data. */
  remove(): Promise<void>
}

/** A server that ends with this process, whose folder is removed then, however the process ends. */
export function guardedServer({ command, folder, signal, user, ask }: ServerCommand): TestServer {
  // In its own process group, since a Ctrl-C meant for the tests would end it before it has cleaned up.
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

// No handler of this process runs when it is killed, but the end of its pipe is detected.
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
