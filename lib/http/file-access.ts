import type { ServerResponse } from 'node:http'
import { Readable } from 'node:stream'
import { invalid } from '../errors.js'
import type { FileCache } from '../files/cache.js'
import { unknownFile } from '../files/file-index.js'
import type { SessionFiles } from '../files/session-files.js'
import { sourceOf } from '../files/sources.js'
import type { StoredFile } from '../files/stored-file.js'
import { known } from '../parse.js'
import type { Session } from '../sessions/session.js'
import type { Sessions } from '../sessions/sessions.js'
import { StateAccess, usable } from '../sessions/value-access.js'
import type { CachedFile, FileData, FileReference, Pin, SessionFileMethods } from '../types.js'
import { whenOver } from '../util/response-over.js'
import { type ServedFile, sendOpenFile } from './file-response.js'
import { mimeTypeOf } from './mime-type.js'
import { SessionDownloads } from './session-downloads.js'

/** The state and the files of one session. */
export abstract class FileAccess extends StateAccess implements SessionFileMethods {
  readonly #cache: FileCache

  constructor(sessions: Sessions, cache: FileCache) {
    super(sessions)
    this.#cache = cache
  }

  /** The path of the library's routes in URLs that browsers receive. */
  protected abstract get base(): string

  /** The key of a scope. */
  protected get key(): string | undefined {
    return undefined
  }

  directory(): Promise<string> {
    return this.store().directory()
  }

  async saveFile(data: FileData, options: { name?: string } = {}): Promise<CachedFile> {
    known('the options of saveFile()', options, { name: true })
    if (options.name !== undefined && typeof options.name !== 'string')
      throw invalid('the name given to saveFile()', 'a string', options.name)
    const store = this.store()
    const { content, name, origin } = await sourceOf(data, path => this.#cache.open(path))
    try {
      return this.present(await store.save(content, options.name ?? name ?? 'file'))
    } catch (error) {
      if (content instanceof Readable) content.destroy()
      origin?.destroy?.()
      throw error
    }
  }

  async files(): Promise<CachedFile[]> {
    const session = this.peek()
    if (session === undefined) return []
    const files = await filesOf(this.#cache, session).list()
    return files.map(file => this.present(file))
  }

  async file({ sha256, name }: FileReference): Promise<CachedFile | undefined> {
    const session = this.peek()
    const file = session && (await filesOf(this.#cache, session).find(sha256, name))
    return file && this.present(file)
  }

  async deleteFile({ sha256, name }: FileReference): Promise<boolean> {
    const session = this.peek()
    return session !== undefined && filesOf(this.#cache, session).delete(sha256, name)
  }

  async sendFile({ sha256, name }: FileReference, res: ServerResponse): Promise<void> {
    const { req } = res
    const session = this.peek()
    if (session !== undefined && !(await SessionDownloads.of(session).begin(req, res))) return
    const file = session && (await this.openFile(usable(session), sha256, name))
    if (file === undefined) throw unknownFile(name)
    sendOpenFile(file, req, res)
    await new Promise<void>(resolve => whenOver({ req, res }, resolve))
  }

  async pin({ sha256, name }: FileReference): Promise<Pin> {
    const file = await this.store().pin(sha256, name)
    let isPinned = true
    const release = () => {
      if (isPinned) file.pins--
      isPinned = false
    }
    return { release, [Symbol.dispose]: release }
  }

  adopt({ sha256, name }: FileReference, destination: string): Promise<string> {
    if (typeof destination !== 'string')
      throw invalid('the destination given to adopt()', 'a path', destination)
    return this.store().adopt(sha256, name, destination)
  }

  /** Opens a file of a session in this process, which may be in the directory of another node. */
  async openFile(session: Session, sha256: string, name: string): Promise<ServedFile | undefined> {
    const own = await this.#cache.peek(session.id)?.open(sha256, name)
    if (own !== undefined || !this.sessions.isShared) return own
    const file = await this.#cache.peers.open(session.id, sha256, name)
    return file && { file }
  }

  /** The files of the session. Begins the session if there is none. */
  store(): SessionFiles {
    return filesOf(this.#cache, this.use())
  }

  urlOf(sha256: string, name: string): string {
    const scope = this.key === undefined ? '' : `?scope=${encodeURIComponent(this.key)}`
    return `${this.base}/file/${sha256}/${encodeURIComponent(name)}${scope}`
  }

  present({ name, path, sha256, size }: StoredFile): CachedFile {
    return { url: this.urlOf(sha256, name), path, name, size, sha256, mimeType: mimeTypeOf(name) }
  }
}

/** The files of a session or scope. The first call arranges for their removal when it ends. */
function filesOf(cache: FileCache, session: Session): SessionFiles {
  const { id, parent } = session
  const onFirstUse = () => {
    session.onEnd(() => cache.abort(id))
    session.addCleanup(() => cache.end(id))
  }
  return cache.of(id, onFirstUse, parent && filesOf(cache, parent))
}
