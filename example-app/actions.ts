import type { CachedFile, GradioState, RequestState } from 'gradio-state'
import { createDemo } from './demo.ts'
import { userDirectories } from './pictures.ts'
import { createReports, localRecords, type PastReport } from './reports.ts'
import type { Settings } from './settings.ts'
import { createTaskQueue } from './task-queue.ts'
import { keepPictures, NotAPicture } from './uploads.ts'
import { localUserData, type UserDataStore } from './user-data.ts'

/** The demo, in one process or on several nodes. */
export interface DemoParts {
  gradio: GradioState
  generate(state: RequestState): Promise<void>
  data: UserDataStore
}

/** What the page shows: everything that the server stores for its user. */
export interface Summary {
  /** The id of the session, by which the page asks later what happened to it; null if there is none yet. */
  session: string | null
  pictures: { name: string; colour: string; url: string }[]
  /** The user's own pictures. */
  uploads: { name: string; url: string }[]
  /** How many pictures were generated in the page's tab. */
  inTab: number
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

export type Actions = ReturnType<typeof createActions>

/** The demo in one process. */
export function localActions(settings: Settings): Actions {
  const { report, reportsOf } = createReports(localRecords())
  const { gradio, history, inTab, generate } = createDemo(settings, report)
  return createActions({ gradio, generate, data: localUserData(history, inTab) }, settings, reportsOf)
}

/** What the routes do, independent of the web framework. */
export function createActions(
  { gradio, generate, data }: DemoParts,
  settings: Settings,
  reportsOf: (id: string) => Promise<PastReport[]>,
) {
  const { gracePeriod, maxFileSize, node, pictureDir, timeToLive, unloadDelay } = settings
  const directories = userDirectories(pictureDir)
  const enqueue = createTaskQueue()
  gradio.on('error', (error, context) => console.error(error, context))

  return {
    gradio,
    generate,
    find: data.find,
    reportsOf,

    /** Generates the first picture of a user. Two pages that open at the same time get one picture. */
    async start(state: RequestState): Promise<void> {
      await state.establish()
      await enqueue(state.id, async () => {
        if ((await data.read(state)).history.length === 0) await generate(state)
      })
    },

    async addUploads(state: RequestState, files: readonly CachedFile[]): Promise<void> {
      const { pictures, others } = await keepPictures(state, files)
      await data.addUploads(state, pictures)
      if (others[0] !== undefined) throw new NotAPicture(others[0].name)
    },

    async summary(state: RequestState): Promise<Summary> {
      const { history, uploads, inTab, values, files } = await data.read(state)
      const newest = history.at(-1)
      // Reading `id` would start a session.
      const session = history.length > 0 || state.pages > 0 ? state.id : null
      const isLimited = Number.isFinite(timeToLive)
      return {
        session,
        pictures: history.map(({ name, colour, url }) => ({ name, colour, url })),
        uploads: uploads.map(({ name, url }) => ({ name, url })),
        inTab,
        values,
        // The library's files are kept until the session ends; the directory is deleted when the page closes.
        files: files + (session === null ? 0 : await directories.count(session)),
        timeLeft:
          newest && isLimited ? Math.max(0, timeToLive - (Date.now() - newest.paintedAt) / 1000) : null,
        gracePeriod,
        unloadDelay,
        timeToLive: isLimited ? timeToLive : null,
        maxFileSize,
        node: node ?? null,
      }
    },
  }
}
