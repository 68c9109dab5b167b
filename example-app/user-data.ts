import type { CachedFile, GradioState, RequestState } from 'gradio-state'
import type { Picture } from './pictures.ts'

/** A picture of the history: its URL, and when it was added, in milliseconds since the epoch. */
export interface HistoryEntry {
  name: string
  colour: string
  url: string
  addedAt: number
}

/** A picture that the user has uploaded. */
export interface Upload {
  name: string
  url: string
}

/** The data of one user, and the number of values and files that store it. */
export interface UserData {
  history: readonly HistoryEntry[]
  uploads: readonly Upload[]
  values: number
  files: number
}

/** Stores the data of users. */
export interface UserDataStore {
  /** Doesn't start a session, and creates no value. */
  read(state: RequestState): Promise<UserData>
  add(state: RequestState, picture: Picture): Promise<void>
  /** Finds a picture of the history, unless pictures are served as files. */
  find(state: RequestState, name: string): Picture | undefined
  /** Records files that the library has stored. */
  addUploads(state: RequestState, files: readonly CachedFile[]): Promise<void>
}

/** Stores the data in this process: the history contains the pictures themselves, and uploads are files of the session. */
export function localUserData(gradio: GradioState, timeToLive: number | undefined): UserDataStore {
  const history = gradio.state<readonly (Picture & HistoryEntry)[]>('history', {
    value: () => [],
    ...(timeToLive !== undefined && { timeToLive }),
    deleteCallback: (pictures, { reason, session }) => {
      console.log(`STATE DELETED ${session.id} ${pictures.length} ${reason}`)
    },
  })
  // get() would create the initial value.
  const picturesOf = (state: RequestState) => (state.has(history) ? state.get(history) : [])

  return {
    async read(state) {
      const uploads = await state.files()
      return {
        history: picturesOf(state),
        uploads,
        values: state.has(history) ? 1 : 0,
        files: uploads.length,
      }
    },

    async add(state, picture) {
      const entry = { ...picture, url: `/pictures/${picture.name}`, addedAt: Date.now() }
      state.update(history, pictures => [...pictures, entry])
    },

    find: (state, name) => picturesOf(state).find(picture => picture.name === name),

    // files() lists them already.
    async addUploads() {},
  }
}

/**
 * Stores the data on all nodes. Shared values are sent through Redis, so they contain only the URLs of pictures. The pictures are
 * files of the session, which every node serves. files() lists only the files of one node, so uploads are listed in a shared value.
 */
export function sharedUserData(gradio: GradioState, timeToLive: number | undefined): UserDataStore {
  const history = gradio.sharedState<readonly HistoryEntry[]>('history', {
    ...(timeToLive !== undefined && { timeToLive }),
    deleteCallback: (pictures, { reason, session }) => {
      console.log(`STATE DELETED ${session.id} ${pictures?.length} ${reason}`)
    },
  })
  const uploads = gradio.sharedState<readonly Upload[]>('uploads')

  return {
    async read(state) {
      const [pictures = [], own = []] = await Promise.all([history.get(state), uploads.get(state)])
      return {
        history: pictures,
        uploads: own,
        values: [pictures, own].filter(({ length }) => length > 0).length,
        files: pictures.length + own.length,
      }
    },

    async add(state, { name, colour, webp }) {
      const { url } = await state.saveFile(webp, { name })
      const entry = { name, colour, url, addedAt: Date.now() }
      await history.update(state, (pictures = []) => [...pictures, entry])
    },

    find: () => undefined,

    async addUploads(state, files) {
      if (files.length === 0) return
      const added = files.map(({ name, url }) => ({ name, url }))
      const urls = new Set(added.map(({ url }) => url))
      // The same bytes under the same name are one file.
      await uploads.update(state, (known = []) => [...known.filter(({ url }) => !urls.has(url)), ...added])
    },
  }
}
