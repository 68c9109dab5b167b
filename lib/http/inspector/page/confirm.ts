import { byId, setText } from './dom.js'

const dialog = byId<HTMLDialogElement>('confirm')
let onConfirm = () => {}

byId('cancel').addEventListener('click', () => dialog.close())
byId('confirm-end').addEventListener('click', () => {
  dialog.close()
  onConfirm()
})

/** Asks whether to end a session, and calls `end` after a yes. Escape cancels. */
export function confirmEnd(id: string, end: () => void): void {
  // Not on the dialog's `close` event, which is a later task: the question may have been asked again by then.
  onConfirm = end
  setText(byId('confirm-subject'), id)
  dialog.showModal()
}

/** Ends a session. Resolves with a text for the operator. */
export async function endSession(id: string): Promise<string> {
  try {
    const response = await fetch(`?end=${encodeURIComponent(id)}`, {
      method: 'POST',
      headers: { 'gradio-state': 'inspector' },
    })
    if (!response.ok) return `The server refused to end the session (${response.status}).`
    const { found } = (await response.json()) as { found: boolean }
    return found ? 'The session is ending.' : 'The session has already ended.'
  } catch {
    return 'The server can’t be reached. The session may not have ended.'
  }
}
