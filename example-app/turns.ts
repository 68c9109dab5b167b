/** Runs the tasks of one key one after the other, in their order, and those of other keys beside them. */
export function takingTurns() {
  const last = new Map<string, Promise<unknown>>()

  return async function inTurn<T>(key: string, task: () => Promise<T>): Promise<T> {
    const turn = (last.get(key) ?? Promise.resolve()).then(task)
    const settled = turn.catch(() => {})
    last.set(key, settled)
    try {
      return await turn
    } finally {
      if (last.get(key) === settled) last.delete(key)
    }
  }
}
