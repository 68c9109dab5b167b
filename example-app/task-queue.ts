/** Runs the tasks of each key one after the other, in order. Tasks of different keys run concurrently. */
export function createTaskQueue() {
  const last = new Map<string, Promise<unknown>>()

  return async function enqueue<T>(key: string, task: () => Promise<T>): Promise<T> {
    const result = (last.get(key) ?? Promise.resolve()).then(task)
    const settled = result.catch(() => {})
    last.set(key, settled)
    try {
      return await result
    } finally {
      if (last.get(key) === settled) last.delete(key)
    }
  }
}
