import { byId, setText } from './dom.js'

const dialog = byId<HTMLDialogElement>('confirm')
let isConfirmed = false

byId('cancel').addEventListener('click', () => dialog.close())
byId('confirm-end').addEventListener('click', () => {
  isConfirmed = true
  dialog.close()
})

/** Asks whether to end a session. Escape cancels. */
export function confirmEnd(id: string): Promise<boolean> {
  isConfirmed = false
  setText(byId('confirm-subject'), id)
  dialog.showModal()
  return new Promise(resolve => dialog.addEventListener('close', () => resolve(isConfirmed), { once: true }))
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
