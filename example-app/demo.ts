import { type CachedFile, type Cluster, gradioState, type RequestState } from 'gradio-state'
import { paint, userDirectories } from './pictures.ts'
import type { Settings } from './settings.ts'
import { createTaskQueue } from './task-queue.ts'
import { keepPictures, NotAPicture } from './uploads.ts'
import { localUserData, sharedUserData } from './user-data.ts'

/** What the page shows: everything that the server stores for its user. */
export interface Summary {
  pictures: { name: string; colour: string; url: string }[]
  /** The user's own pictures. */
  uploads: { name: string; url: string }[]
  values: number
  files: number
  /** Seconds until the history's time to live is over; null if it has none, or is empty. */
  timeLeft: number | null
  gracePeriod: number
  unloadDelay: number
  timeToLive: number | null
  maxFileSize: string
  /** The node that has answered; null without a cluster. */
  node: string | null
}

export type Demo = ReturnType<typeof createDemo>

/**
 * The demo without a web framework: the state, its hooks, and what the routes do.
 * @param cluster shares users with other nodes
 */
export function createDemo(settings: Settings, cluster?: Cluster) {
  const { cacheDir, gracePeriod, maxFileSize, unloadDelay, timeToLive, pictureDir } = settings
  const directories = userDirectories(pictureDir)
  const enqueue = createTaskQueue()
  const gradio = gradioState({ cacheDir, gracePeriod, maxFileSize, unloadDelay, ...(cluster && { cluster }) })

  const userData = (cluster ? sharedUserData : localUserData)(gradio, timeToLive)

  gradio.load(({ session }) => console.log(`LOAD ${session.id}`))

  gradio.unload(async ({ session, reason }) => {
    await removeDirectory(session.id)
    console.log(`UNLOAD ${session.id} ${reason}`)
  })

  // A request without a page may have created the directory again after the unload.
  gradio.ended(async ({ session, reason }) => {
    await removeDirectory(session.id)
    console.log(`ENDED ${session.id} ${reason}`)
  })

  gradio.on('error', (error, context) => console.error(error, context))

  /** Queued with `generate`, so that no picture is saved while the directory is removed. */
  const removeDirectory = (id: string) => enqueue(id, () => directories.remove(id))

  async function addPicture(state: RequestState, id: string, signal: AbortSignal): Promise<void> {
    const picture = await paint()
    // The signal aborts before the unload hooks run. A picture that is saved after them would not be deleted.
    signal.throwIfAborted()
    await directories.save(id, picture)
    await userData.add(state, picture)
  }

  return {
    gradio,

    async generate(state: RequestState): Promise<void> {
      await state.establish()
      const { id, signal } = state
      await enqueue(id, () => addPicture(state, id, signal))
    },

    /** Generates the first picture of a user. Two pages that open at the same time get one picture. */
    async start(state: RequestState): Promise<void> {
      await state.establish()
      const { id, signal } = state
      await enqueue(id, async () => {
        if ((await userData.read(state)).history.length === 0) await addPicture(state, id, signal)
      })
    },

    find: userData.find,

    async addUploads(state: RequestState, files: readonly CachedFile[]): Promise<void> {
      const { pictures, others } = await keepPictures(state, files)
      await userData.addUploads(state, pictures)
      if (others[0] !== undefined) throw new NotAPicture(others[0].name)
    },

    async summary(state: RequestState): Promise<Summary> {
      const { history, uploads, values, files } = await userData.read(state)
      const newest = history.at(-1)
      // Reading `id` would start a session.
      const isKnown = history.length > 0 || state.pages > 0
      return {
        pictures: history.map(({ name, colour, url }) => ({ name, colour, url })),
        uploads: uploads.map(({ name, url }) => ({ name, url })),
        values,
        // The library's files are kept until the session ends; the directory is deleted when the page closes.
        files: files + (isKnown ? await directories.count(state.id) : 0),
        timeLeft:
          newest && timeToLive !== undefined
            ? Math.max(0, timeToLive - (Date.now() - newest.addedAt) / 1000)
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
