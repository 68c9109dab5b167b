import { once } from 'node:events'
import { mkdir } from 'node:fs/promises'
import { createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type Actions, localActions } from './actions.ts'
import { readSettings, type Settings, SettingsError } from './settings.ts'

/** Options for running as one of several nodes. */
export interface NodeOptions {
  createActions(settings: Settings): Actions
  beforeClose?: ((demo: Actions) => Promise<void>) | undefined
}

/** Runs the demo on a web framework until a signal stops it. Resolves with the port. */
export async function start(
  createApp: (demo: Actions, settings: Settings) => RequestListener,
  node?: NodeOptions,
): Promise<number> {
  try {
    const settings = readSettings()
    await mkdir(settings.pictureDir, { recursive: true, mode: 0o700 })

    const demo = (node?.createActions ?? localActions)(settings)
    const server = createServer(createApp(demo, settings))
    stopOnSignal(server, demo, node?.beforeClose)

    server.listen(settings.port, settings.host)
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    console.log(`Listening on http://localhost:${port}`)
    if (node === undefined) console.log(whatHappens(settings))
    return port
  } catch (error) {
    // An error that the user can fix (a setting, a port in use) is printed without its stack.
    const known = error instanceof SettingsError || (error as NodeJS.ErrnoException).syscall
    console.error(known ? (error as Error).message : error)
    return process.exit(1)
  }
}

/** What to expect in the terminal. */
export function whatHappens({ gracePeriod, unloadDelay }: Settings): string {
  return [
    'Open it, and close the page again. Its user has left, so the server cleans up:',
    `  after ${unloadDelay} s: the user's directory is deleted (UNLOAD)`,
    `  after ${gracePeriod} s: everything else is deleted (STATE DELETED, ENDED), unless the user comes back sooner`,
    'With GRACE_PERIOD=60m, the server waits for an hour, as Gradio does.',
  ].join('\n')
}

/** The first signal shuts down gracefully; a second one exits at once. */
function stopOnSignal(server: Server, demo: Actions, beforeClose?: NodeOptions['beforeClose']): void {
  let stoppingSince: number | undefined

  const stop = async () => {
    stoppingSince = performance.now()
    server.close()
    await beforeClose?.(demo)
    // Disconnects the pages, runs all unload hooks and delete callbacks, closes all connections, and reports what timed out.
    const { timedOut } = await demo.gradio.close({ server, timeout: '25s' })
    for (const late of timedOut) console.error('Timed out:', late)
    console.log('CLOSED')
    process.exit(0)
  }

  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => {
      if (stoppingSince === undefined) {
        stop().catch(error => {
          console.error(error)
          process.exit(1)
        })
      } else if (performance.now() - stoppingSince > 500) {
        // Sooner, it may be the same Ctrl+C: npm and tsx forward it, and the terminal sends it to this process too.
        process.exit(1)
      }
    })
  }
}
