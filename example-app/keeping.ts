import type { GradioState, RequestState } from 'gradio-state'
import type { Picture } from './pictures.ts'
import type { Uploaded } from './uploads.ts'

/** A picture of the history: where the page finds it, and when it came (in ms since 1970). */
export interface Kept {
  name: string
  colour: string
  url: string
  keptAt: number
}

/** A picture of the user's own. */
export interface Upload {
  name: string
  url: string
}

/** What is kept for a user, and how many values and files of the library that takes. */
export interface Belongings {
  history: readonly Kept[]
  uploads: readonly Upload[]
  values: number
  files: number
}

/** Where the demo keeps what a user has. */
export interface Keeping {
  /** Looking makes nothing. */
  of(state: RequestState): Promise<Belongings>
  add(state: RequestState, picture: Picture): Promise<void>
  /** A picture of the history that isn't served as a file. */
  find(state: RequestState, name: string): Picture | undefined
  /** Is told of files that the library has stored. */
  addUploads(state: RequestState, files: Uploaded): Promise<void>
}

/** In this process. The history holds the pictures themselves; what the library has of the user's own, it knows. */
export function localKeeping(gradio: GradioState, timeToLive: number | undefined): Keeping {
  const history = gradio.state<readonly (Picture & Kept)[]>('history', {
    value: () => [],
    ...(timeToLive !== undefined && { timeToLive }),
    deleteCallback: (pictures, { reason, session }) => {
      console.log(`STATE DELETED ${session.id} ${pictures.length} ${reason}`)
    },
  })
  // A read of a state that isn't there would make its initial value.
  const picturesOf = (state: RequestState) => (state.has(history) ? state.get(history) : [])

  return {
    async of(state) {
      const uploads = state.files()
      return {
        history: picturesOf(state),
        uploads,
        values: state.has(history) ? 1 : 0,
        files: uploads.length,
      }
    },

    async add(state, picture) {
      const kept = { ...picture, url: `/pictures/${picture.name}`, keptAt: Date.now() }
      state.update(history, pictures => [...pictures, kept])
    },

    find: (state, name) => picturesOf(state).find(picture => picture.name === name),

    // They are among its files already.
    async addUploads() {},
  }
}

/**
 * On all nodes. Values go through Redis, so they hold no pictures but their addresses: the pictures are files of the
 * session, which any node serves. Each node only knows its own of them, so those of the user are listed in a value, too.
 */
export function sharedKeeping(gradio: GradioState, timeToLive: number | undefined): Keeping {
  const history = gradio.sharedState<readonly Kept[]>('history', {
    ...(timeToLive !== undefined && { timeToLive }),
    deleteCallback: (pictures, { reason, session }) => {
      console.log(`STATE DELETED ${session.id} ${pictures?.length} ${reason}`)
    },
  })
  const uploads = gradio.sharedState<readonly Upload[]>('uploads')

  return {
    async of(state) {
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
      const kept = { name, colour, url, keptAt: Date.now() }
      await history.update(state, (pictures = []) => [...pictures, kept])
    },

    find: () => undefined,

    async addUploads(state, files) {
      if (!Array.isArray(files) || files.length === 0) return
      const added = files.map(({ filename, url }) => ({ name: filename, url }))
      const urls = new Set(added.map(({ url }) => url))
      // The same bytes under the same name are one file.
      await uploads.update(state, (known = []) => [...known.filter(({ url }) => !urls.has(url)), ...added])
    },
  }
}
