/** What the library says by itself: on the `warning` event of the process, which Node.js prints. */
export function warn(code: string, message: string): void {
  process.emitWarning(`${message} (Said once.)`, { type: 'GradioStateWarning', code })
}
