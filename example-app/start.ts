import { once } from 'node:events'
import { mkdir } from 'node:fs/promises'
import { createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Cluster } from 'gradio-state'
import { createDemo, type Demo } from './demo.ts'
import { readSettings, type Settings, SettingsError } from './settings.ts'

/** Options for running as one of several nodes. */
export interface NodeOptions {
  cluster: Cluster
  beforeClose?: ((demo: Demo) => Promise<void>) | undefined
}

/** Runs the demo on a web framework until a signal stops it. Resolves with the port. */
export async function start(
  createApp: (demo: Demo, settings: Settings) => RequestListener,
  node?: NodeOptions,
): Promise<number> {
  try {
    const settings = readSettings()
    await mkdir(settings.pictureDir, { recursive: true, mode: 0o700 })

    const demo = createDemo(settings, node?.cluster)
    const server = createServer(createApp(demo, settings))
    stopOnSignal(server, demo, node?.beforeClose)

    server.listen(settings.port, settings.host)
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    console.log(`Listening on http://localhost:${port}`)
    return port
  } catch (error) {
    // An error that the user can fix (a setting, a port in use) is printed without its stack.
    const known = error instanceof SettingsError || (error as NodeJS.ErrnoException).syscall
    console.error(known ? (error as Error).message : error)
    return process.exit(1)
  }
}

/** The first signal shuts down gracefully; a second one exits at once. */
function stopOnSignal(server: Server, demo: Demo, beforeClose?: NodeOptions['beforeClose']): void {
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
