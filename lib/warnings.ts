// What the library says by itself goes to the `warning` event of the process, which Node.js prints on stderr.

/** Sessions end that no page ever belonged to: most likely the client script is missing. */
export function warnOfNoPage(): void {
  warn(
    'GRADIO_STATE_NO_PAGE',
    'A session ended that never had a page, so nobody could notice a closed tab before the grace period was over. ' +
      'Put <script type="module" src="/gradio_api/client.js"></script> into your pages.',
  )
}

/** A trap of the host: facts in expressjs/session's README, option `resave`. */
export function warnOfResave(): void {
  warn(
    'GRADIO_STATE_RESAVE',
    'express-session is set to { resave: true }: a long answer, such as an event stream, saves the session again ' +
      'when it ends, which undoes a logout that came meanwhile. Set { resave: false }.',
  )
}

function warn(code: string, message: string): void {
  process.emitWarning(`${message} (Said once.)`, { type: 'GradioStateWarning', code })
}
