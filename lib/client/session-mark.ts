/** The server's answer: the mark of the session that the browser's cookies lead to, '' for none, `undefined` if it didn't answer. */
type Answer = string | undefined

/** https://cookiestore.spec.whatwg.org/#CookieChangeEvent */
type CookieChange = Event & { readonly changed: readonly { readonly name: string; readonly value: string }[] }

export interface SessionWatch {
  /** Sets the mark of the page's session, which the server sends with each heartbeat. */
  enter(mark: string): void
  /** Compares the marks again. Called now and then, in case an event was missed or a query was not answered. */
  compare(): void
}

/**
 * Detects that the browser's cookies lead to a different session from that of the page. The server sets a cookie that scripts can
 * read, the mark of the session, whenever it gives the browser a session.
 *
 * @param isReadable Whether the page can read the mark: it can't if its origin differs from the server's.
 * @param isBusy Whether a heartbeat is in flight, which finds the session by itself.
 * @param ask Asks the server.
 * @param move Called when the session isn't that of the page.
 */
export function watchSession(
  isReadable: boolean,
  isBusy: () => boolean,
  ask: () => Promise<Answer>,
  move: () => void,
): SessionWatch {
  /** The mark of the page's session: `name=value`. */
  let own = ''
  /** The last mark that the server was asked about. Another app on the host may overwrite the mark, which must not cause further queries. */
  let asked: string | undefined
  /** The last mark that the server was asked about a second time, because it had answered that there was no session. */
  let retried: string | undefined
  let isAsking = false

  const current = () => document.cookie.split('; ').find(pair => pair.startsWith(own.replace(/=.*/, '=')))

  const check = async (mark?: string) => {
    if (!own || isAsking || isBusy()) return
    isAsking = true
    const answer = await ask()
    isAsking = false
    if (answer && answer !== own) {
      move()
    } else if (answer === '' && mark !== retried) {
      // Session middleware may store a session only when the response that brings its cookie has been sent.
      retried = mark
      setTimeout(compare, 1000)
    } else if (answer !== undefined) {
      asked = mark
      compare()
    }
  }

  /** A missing mark is ignored. */
  const compareWith = (mark: string | undefined) => {
    if (own && mark && mark !== own && mark !== asked) void check(mark)
  }

  const compare = () => compareWith(isReadable ? current() : undefined)

  if (isReadable) {
    const { cookieStore } = globalThis as { cookieStore?: EventTarget }
    addEventListener('focus', compare)
    if (cookieStore) {
      cookieStore.addEventListener('change', event => {
        // In Chromium, `document.cookie` may not contain the change yet.
        for (const { name, value } of (event as CookieChange).changed) {
          if (own.startsWith(`${name}=`)) compareWith(`${name}=${value}`)
        }
      })
    } else {
      // Browsers provide it only over https and on localhost.
      setInterval(() => document.hidden || compare(), 1000)
    }
  }
  document.addEventListener('visibilitychange', () => {
    if (!document.hidden) void (isReadable ? compare() : check())
  })

  return {
    enter(mark) {
      own = mark
      compare()
    },
    compare,
  }
}
