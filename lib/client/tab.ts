import { randomId } from './random-id.js'

/** The browser tab that shows the document. */
export interface Tab {
  /** Identify the tab to the server. */
  readonly headers: Readonly<Record<string, string>>
  /** Passes the id on to the next document of the tab. Called when the browser leaves the document. */
  leave(): void
  /** Called when the document is shown again, after {@link Tab.leave}. */
  enter(): void
}

const storageKey = 'gradio-state-tab'
/** The property of the window that contains the id: a document may load this module twice, and its frames may load it too. */
const windowKey = Symbol.for(storageKey)

/**
 * The id is in `sessionStorage` only between two documents of the tab: a duplicated tab, and a window opened by a script, get a copy of
 * `sessionStorage`, and must not get the id of a tab that is still open.
 */
export function browserTab(): Tab {
  const outermost = outermostWindow()
  const id = outermost[windowKey] || useStorage(storage => storage.getItem(storageKey)) || randomId()
  const enter = () => useStorage(storage => storage.removeItem(storageKey))
  outermost[windowKey] = id
  enter()
  // Chromium may show a page from its back/forward cache before the page in front of it has left, which is in another process.
  addEventListener('storage', ({ key, newValue }) => {
    if (key === storageKey && newValue === id) enter()
  })
  return {
    headers: { 'Gradio-State-Tab': id },
    leave() {
      // When a frame is left, its parent page remains open.
      if (outermost === window) useStorage(storage => storage.setItem(storageKey, id))
    },
    enter,
  }
}

type TabWindow = Window & { [windowKey]?: string }

/** The outermost window that can be reached through parents of the same origin. */
function outermostWindow(): TabWindow {
  let found: Window = window
  try {
    // Throws if the parent has another origin.
    while (found.parent !== found && found.parent.document) found = found.parent
  } catch {}
  return found
}

/** Does nothing if the storage is blocked, or has no space, or if the origin is opaque. The id then lasts as long as the document. */
function useStorage<T>(use: (storage: Storage) => T): T | undefined {
  try {
    return use(sessionStorage)
  } catch {
    return undefined
  }
}
