import { type Cluster, gradioState, type RequestState } from 'gradio-state'
import type { DemoParts } from './actions.ts'
import { paint, userDirectories } from './pictures.ts'
import type { Report } from './reports.ts'
import type { Settings } from './settings.ts'
import { createTaskQueue } from './task-queue.ts'
import type { HistoryEntry, Upload } from './user-data.ts'

/**
 * The demo on several nodes. Shared values are sent through Redis, so they contain only the URLs of pictures. The pictures are
 * files of the session, which every node serves. `files()` lists only the files of one node, so uploads are listed in a shared value.
 */
export function createClusterDemo(settings: Settings, report: Report, cluster: Cluster): DemoParts {
  const { cacheDir, gracePeriod, maxFileSize, pictureDir, timeToLive, unloadDelay } = settings
  const directories = userDirectories(pictureDir)
  const enqueue = createTaskQueue()
  const gradio = gradioState({ cluster, gracePeriod, unloadDelay, cacheDir, maxFileSize })

  const history = gradio.sharedState<readonly HistoryEntry[]>('history', {
    timeToLive,
    deleteCallback: (pictures, { session, reason }) =>
      report(session.id, 'STATE DELETED', pictures?.length ?? 0, reason),
  })
  const uploads = gradio.sharedState<readonly Upload[]>('uploads')
  const inTab = gradio.sharedState<number>('in this tab')

  async function generate(state: RequestState): Promise<void> {
    await state.establish()
    const { id, signal } = state
    await enqueue(id, async () => {
      const { name, colour, paintedAt, webp } = await paint()
      signal.throwIfAborted()
      await directories.save(id, { name, webp })
      const { url } = await state.saveFile(webp, { name })
      await history.update(state, (pictures = []) => [...pictures, { name, colour, url, paintedAt }])
      if (state.tab !== undefined) await inTab.update(state.tab, (count = 0) => count + 1)
    })
  }

  const deleteDirectory = (id: string) => enqueue(id, () => directories.remove(id))

  gradio.load(({ session }) => report(session.id, 'LOAD'))
  gradio.unload(async ({ session, reason }) => {
    await deleteDirectory(session.id)
    await report(session.id, 'UNLOAD', reason)
  })
  gradio.ended(async ({ session, reason }) => {
    await deleteDirectory(session.id)
    await report(session.id, 'ENDED', reason)
  })

  return {
    gradio,
    generate,
    data: {
      async read(state) {
        const [pictures = [], own = [], count = 0] = await Promise.all([
          history.get(state),
          uploads.get(state),
          state.tab && inTab.get(state.tab),
        ])
        return {
          history: pictures,
          uploads: own,
          inTab: count,
          values: [pictures.length, own.length, count].filter(stored => stored > 0).length,
          files: pictures.length + own.length,
        }
      },

      find: () => undefined,

      async addUploads(state, files) {
        if (files.length === 0) return
        const added = files.map(({ name, url }) => ({ name, url }))
        const urls = new Set(added.map(({ url }) => url))
        // The same bytes under the same name are one file.
        await uploads.update(state, (known = []) => [...known.filter(({ url }) => !urls.has(url)), ...added])
      },
    },
  }
}
