import { gradioState, type RequestState } from 'gradio-state'
import { type Picture, paint, userDirectories } from './pictures.ts'
import type { Report } from './reports.ts'
import type { Settings } from './settings.ts'
import { createTaskQueue } from './task-queue.ts'

/**
 * The heart of the demo, to be read beside the Python of Gradio's guide: https://www.gradio.app/guides/resource-cleanup
 * Its routes, its page, the uploads and the cluster are in other files.
 */
export function createDemo(settings: Settings, report: Report) {
  const { cacheDir, gracePeriod, maxFileSize, pictureDir, timeToLive, unloadDelay } = settings
  const directories = userDirectories(pictureDir)
  // One task of a user at a time: no picture is saved while the directory is deleted.
  const enqueue = createTaskQueue()

  // Every 60 seconds, deletes the files in the cache that are older than an hour.
  const gradio = gradioState({ deleteCache: [60, 3600], gracePeriod, unloadDelay, cacheDir, maxFileSize })

  const history = gradio.state<readonly Picture[]>('history', {
    value: () => [],
    timeToLive,
    deleteCallback: (pictures, { session, reason }) =>
      report(session.id, 'STATE DELETED', pictures.length, reason),
  })

  /** How many pictures were generated in a browser tab. Each tab has its own. */
  const inTab = gradio.state('in this tab', { value: 0 })

  /** Generates a square in a random colour: a file in the directory of its user, and an item of the history. */
  async function generate(state: RequestState): Promise<void> {
    await state.establish()
    const { id, signal } = state
    await enqueue(id, async () => {
      const picture = await paint()
      // Aborts before the unload hooks run: a picture that is saved after them would not be deleted.
      signal.throwIfAborted()
      await directories.save(id, picture)
      state.update(history, pictures => [...pictures, picture])
      state.tab?.update(inTab, count => count + 1)
    })
  }

  const deleteDirectory = (id: string) => enqueue(id, () => directories.remove(id))

  gradio.load(({ session }) => report(session.id, 'LOAD'))

  gradio.unload(async ({ session, reason }) => {
    await deleteDirectory(session.id)
    await report(session.id, 'UNLOAD', reason)
  })

  gradio.ended(async ({ session, reason }) => {
    // A request without a page may have created it again.
    await deleteDirectory(session.id)
    await report(session.id, 'ENDED', reason)
  })

  return { gradio, history, inTab, generate }
}
