import { performance } from 'node:perf_hooks'
import { gradioState, type RequestState } from 'gradio-state'
import { type Picture, paint, userDirectories } from './pictures.ts'
import type { Settings } from './settings.ts'
import { takingTurns } from './turns.ts'

/** A picture that a user has, and when it came: the history's time to live counts from the last. */
interface Kept extends Picture {
  keptAt: number
}

/** What the page is told: all that the server holds for its user. */
export interface Held {
  pictures: { name: string; colour: string }[]
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
}

export type Demo = ReturnType<typeof createDemo>

/** The demo without its web framework: the state, its hooks, and what the routes do with them. */
export function createDemo(settings: Settings) {
  const { cacheDir, gracePeriod, maxFileSize, unloadDelay, timeToLive, pictureDir } = settings
  const directories = userDirectories(pictureDir)
  const inTurn = takingTurns()
  const gradio = gradioState({ cacheDir, gracePeriod, maxFileSize, unloadDelay })

  // Holds the pictures themselves, as the files are gone when a user who closed the page comes back.
  const history = gradio.state<readonly Kept[]>('history', {
    value: () => [],
    ...(timeToLive !== undefined && { timeToLive }),
    deleteCallback: (pictures, { reason, session }) => {
      console.log(`STATE DELETED ${session.id} ${pictures.length} ${reason}`)
    },
  })

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

  /** Looking makes nothing: a read of a state that isn't there would make its initial value. */
  const picturesOf = (state: RequestState) => (state.has(history) ? state.get(history) : [])

  async function keepNewPicture(state: RequestState, id: string, signal: AbortSignal): Promise<void> {
    const picture = await paint()
    // Aborted before the unload hooks run: what comes after them would stay behind.
    signal.throwIfAborted()
    await directories.save(id, picture)
    state.update(history, pictures => [...pictures, { ...picture, keptAt: performance.now() }])
  }

  return {
    gradio,

    async generate(state: RequestState): Promise<void> {
      const { id, signal } = state
      await inTurn(id, () => keepNewPicture(state, id, signal))
    },

    /** Gives a user who has no picture a first one. Two pages opened at once share it. */
    async start(state: RequestState): Promise<void> {
      const { id, signal } = state
      await inTurn(id, async () => {
        if (picturesOf(state).length === 0) await keepNewPicture(state, id, signal)
      })
    },

    find(state: RequestState, name: string): Picture | undefined {
      return picturesOf(state).find(picture => picture.name === name)
    },

    async held(state: RequestState): Promise<Held> {
      const pictures = picturesOf(state)
      const newest = pictures.at(-1)
      // They stay until the session ends; the generated ones go when the page is closed.
      const uploads = state.files()
      // Asking for the id would begin a session where there is none.
      const isKnown = state.has(history) || state.pages > 0
      return {
        pictures: pictures.map(({ name, colour }) => ({ name, colour })),
        uploads: uploads.map(({ name, url }) => ({ name, url })),
        values: state.has(history) ? 1 : 0,
        files: uploads.length + (isKnown ? await directories.count(state.id) : 0),
        timeLeft:
          newest && timeToLive !== undefined
            ? Math.max(0, timeToLive - (performance.now() - newest.keptAt) / 1000)
            : null,
        gracePeriod,
        unloadDelay,
        timeToLive: timeToLive ?? null,
        maxFileSize,
      }
    },
  }
}
