// Warnings are emitted as the `warning` event of the process, which Node.js prints on stderr.

/** Sessions end that never had a page: most likely the client script is missing. */
export function warnOfNoPage(): void {
  warn(
    'GRADIO_STATE_NO_PAGE',
    'A session ended that never had a page, so nobody could notice a closed tab before the grace period was over. ' +
      'Put <script type="module" src="/gradio_api/client.js"></script> into your pages.',
  )
}

/** The first `req.session` appeared after sessions had begun by the library's own cookie: most likely its store wasn't connected. */
export function warnOfLateSession(): void {
  warn(
    'GRADIO_STATE_LATE_SESSION',
    'Earlier requests had no req.session, so their sessions began by the cookie of the library; from now on, req.session ' +
      'decides, and these sessions are reached no more. If its store was not connected at the start, pass it as the option ' +
      "{ store }, or set { session: 'framework' }: requests without req.session are refused then (503). If only some " +
      "routes have a session middleware, put it before all of them, or set { session: 'cookie' }.",
  )
}

function warn(code: string, message: string): void {
  process.emitWarning(`${message} (Reported once.)`, { type: 'GradioStateWarning', code })
}
