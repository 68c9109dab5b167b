import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, writeFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { after, before, type TestContext } from 'node:test'
import { WebSocket } from 'ws'
import { REMEMBER_SOCKET } from './slow-site.ts'

const firefoxPath = process.env.FIREFOX_PATH ?? '/usr/bin/firefox-esr'

/** A tab of Firefox. */
export interface FirefoxTab {
  goto(url: string): Promise<void>
  /** Doesn't wait for the new document. */
  reload(): Promise<void>
  evaluate(expression: string): Promise<unknown>
  close(): Promise<void>
}

/** One Firefox for all tests of a file, controlled with WebDriver BiDi: Playwright only controls its own Firefox. */
export function useFirefox(): { newTab(t: TestContext): Promise<FirefoxTab> } {
  const profile = mkdtempSync(join(tmpdir(), 'gradio-state-firefox-'))
  let firefox: ChildProcess
  let bidi: Bidi
  before(async () => {
    writeFileSync(
      join(profile, 'user.js'),
      // A host name in a LAN, as in browser.ts. Downloads don't prompt.
      [
        '"network.dns.localDomains", "app.test"',
        `"browser.download.dir", "${profile}"`,
        '"browser.download.folderList", 2',
        // Scripts may open windows.
        '"dom.disable_open_during_load", false',
      ]
        .map(preference => `user_pref(${preference});\n`)
        .join(''),
    )
    firefox = spawn(firefoxPath, [
      '--headless',
      '--no-remote',
      '--remote-debugging-port',
      '0',
      '--profile',
      profile,
    ])
    bidi = await Bidi.connect(firefox)
    await bidi.send('session.new', { capabilities: {} })
    const functionDeclaration = `() => { ${REMEMBER_SOCKET} }`
    await bidi.send('script.addPreloadScript', { functionDeclaration })
  })
  after(async () => {
    if (firefox?.exitCode === null) {
      firefox.kill('SIGKILL')
      await once(firefox, 'exit')
    }
    await rm(profile, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 })
  })
  return {
    async newTab(t) {
      // A user with separate cookies.
      const { userContext } = await bidi.send('browser.createUserContext', {})
      t.after(() => bidi.send('browser.removeUserContext', { userContext }))
      const create = () => bidi.send('browsingContext.create', { type: 'tab', userContext })
      const { context } = await create().catch(error => {
        // Firefox reports that if a tab of the previous test disappears at that moment.
        if (!String(error).includes('DiscardedBrowsingContextError')) throw error
        return create()
      })
      return {
        goto: async url =>
          void (await bidi.send('browsingContext.navigate', { context, url, wait: 'complete' })),
        reload: async () => void (await bidi.send('browsingContext.reload', { context, wait: 'none' })),
        async evaluate(expression) {
          const target = { context }
          const { result } = await bidi.send('script.evaluate', { expression, target, awaitPromise: true })
          return (result as { value?: unknown } | undefined)?.value
        },
        close: async () => void (await bidi.send('browsingContext.close', { context })),
      }
    },
  }
}

type Fields = Record<string, unknown>

/** A connection to a browser with WebDriver BiDi (https://w3c.github.io/webdriver-bidi). */
class Bidi {
  readonly #socket: WebSocket
  readonly #answers = new Map<number, (answer: Fields) => void>()
  #id = 0

  constructor(socket: WebSocket) {
    this.#socket = socket
    socket.on('message', data => {
      const answer = JSON.parse(String(data)) as Fields
      this.#answers.get(Number(answer.id))?.(answer)
    })
  }

  static async connect({ stderr }: ChildProcess): Promise<Bidi> {
    if (stderr === null) throw new Error('Expected the stderr of Firefox to be a pipe')
    for await (const line of createInterface(stderr)) {
      const [, url] = /WebDriver BiDi listening on (ws:\S+)/.exec(line) ?? []
      if (url === undefined) continue
      // Otherwise the browser blocks when the pipe is full.
      stderr.resume()
      const socket = new WebSocket(`${url}/session`)
      await once(socket, 'open')
      return new Bidi(socket)
    }
    throw new Error('Expected Firefox to start')
  }

  async send(method: string, params: Fields): Promise<Fields> {
    const id = ++this.#id
    const answered = new Promise<Fields>(resolve => this.#answers.set(id, resolve))
    this.#socket.send(JSON.stringify({ id, method, params }))
    const { type, result, message } = await answered
    if (type !== 'success') throw new Error(`${method}: ${message}`)
    return result as Fields
  }
}
