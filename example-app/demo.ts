import { type Cluster, gradioState, type RequestState } from 'gradio-state'
import { localKeeping, sharedKeeping } from './keeping.ts'
import { paint, userDirectories } from './pictures.ts'
import type { Settings } from './settings.ts'
import { takingTurns } from './turns.ts'
import type { Uploaded } from './uploads.ts'

/** What the page is told: all that the server holds for its user. */
export interface Held {
  pictures: { name: string; colour: string; url: string }[]
  /** The user's own pictures. */
  uploads: { name: string; url: string }[]
  values: number
  files: number
  /** Seconds until the history's time to live is over; null while nothing counts down. */
  timeLeft: number | null
  gracePeriod: number
  unloadDelay: number
  timeToLive: number | null
  maxFileSize: string
  /** Which node has answered; null where there is only one. */
  node: string | null
}

export type Demo = ReturnType<typeof createDemo>

/**
 * The demo without its web framework: the state, its hooks, and what the routes do with them.
 * @param cluster what several nodes share their users by; without one, this process is the only one
 */
export function createDemo(settings: Settings, cluster?: Cluster) {
  const { cacheDir, gracePeriod, maxFileSize, unloadDelay, timeToLive, pictureDir } = settings
  const directories = userDirectories(pictureDir)
  const inTurn = takingTurns()
  const gradio = gradioState({ cacheDir, gracePeriod, maxFileSize, unloadDelay, ...(cluster && { cluster }) })

  const keeping = (cluster ? sharedKeeping : localKeeping)(gradio, timeToLive)

  gradio.load(({ session }) => console.log(`LOAD ${session.id}`))

  gradio.unload(async ({ session, reason }) => {
    await removeDirectory(session.id)
    console.log(`UNLOAD ${session.id} ${reason}`)
  })

  // A last look: a request may have used the session after its unload, with no page to close.
  gradio.ended(async ({ session, reason }) => {
    await removeDirectory(session.id)
    console.log(`ENDED ${session.id} ${reason}`)
  })

  gradio.on('error', (error, context) => console.error(error, context))

  /** In turn with `generate`, so that no picture is put down in a directory while it is taken away. */
  const removeDirectory = (id: string) => inTurn(id, () => directories.remove(id))

  async function keepNewPicture(state: RequestState, id: string, signal: AbortSignal): Promise<void> {
    const picture = await paint()
    // Aborted before the unload hooks run: what comes after them would stay behind.
    signal.throwIfAborted()
    await directories.save(id, picture)
    await keeping.add(state, picture)
  }

  return {
    gradio,

    async generate(state: RequestState): Promise<void> {
      await state.establish()
      const { id, signal } = state
      await inTurn(id, () => keepNewPicture(state, id, signal))
    },

    /** Gives a user who has no picture a first one. Two pages opened at once share it. */
    async start(state: RequestState): Promise<void> {
      await state.establish()
      const { id, signal } = state
      await inTurn(id, async () => {
        if ((await keeping.of(state)).history.length === 0) await keepNewPicture(state, id, signal)
      })
    },

    find: keeping.find,

    async addUploads(state: RequestState, files: Uploaded): Promise<void> {
      await keeping.addUploads(state, files)
    },

    async held(state: RequestState): Promise<Held> {
      const { history, uploads, values, files } = await keeping.of(state)
      const newest = history.at(-1)
      // Asking for the id would begin a session where there is none.
      const isKnown = history.length > 0 || state.pages > 0
      return {
        pictures: history.map(({ name, colour, url }) => ({ name, colour, url })),
        uploads: uploads.map(({ name, url }) => ({ name, url })),
        values,
        // Those of the library stay until the session ends; the directory goes when the page is closed.
        files: files + (isKnown ? await directories.count(state.id) : 0),
        timeLeft:
          newest && timeToLive !== undefined
            ? Math.max(0, timeToLive - (Date.now() - newest.keptAt) / 1000)
            : null,
        gracePeriod,
        unloadDelay,
        timeToLive: timeToLive ?? null,
        maxFileSize,
        node: settings.node ?? null,
      }
    },
  }
}
