import type { CachedFile, RequestState, State } from 'gradio-state'
import type { Picture } from './pictures.ts'

/** A picture of the history: its URL, and when it was generated, in milliseconds since the epoch. */
export interface HistoryEntry {
  name: string
  colour: string
  url: string
  paintedAt: number
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
  /** How many pictures of the history were generated in the tab that asks. */
  inTab: number
  values: number
  files: number
}

/** Where the data of users is stored. */
export interface UserDataStore {
  /** Doesn't start a session, and creates no value. */
  read(state: RequestState): Promise<UserData>
  /** Finds a picture of the history, unless pictures are served as files. */
  find(state: RequestState, name: string): Picture | undefined
  /** Records files that the library has stored. */
  addUploads(state: RequestState, files: readonly CachedFile[]): Promise<void>
}

/** In this process: the history contains the pictures themselves, and uploads are files of the session. */
export function localUserData(history: State<readonly Picture[]>, inTab: State<number>): UserDataStore {
  // get() would create the initial value.
  const picturesOf = (state: RequestState) => (state.has(history) ? state.get(history) : [])

  return {
    async read(state) {
      const uploads = await state.files()
      const { tab } = state
      const hasCount = tab?.has(inTab) ?? false
      return {
        history: picturesOf(state).map(picture => ({ ...picture, url: `/pictures/${picture.name}` })),
        uploads,
        inTab: hasCount ? (tab?.get(inTab) ?? 0) : 0,
        values: Number(state.has(history)) + Number(hasCount),
        files: uploads.length,
      }
    },

    find: (state, name) => picturesOf(state).find(picture => picture.name === name),

    // files() lists them already.
    async addUploads() {},
  }
}
