/** Sessions for koa-session, in memory: gone with the process, as those of express-session are by default. */
export function memoryStore() {
  const sessions = new Map<string, { content: object; until: number }>()

  return {
    async get(id: string): Promise<object | undefined> {
      const found = sessions.get(id)
      return found && found.until > Date.now() ? found.content : undefined
    },

    async set(id: string, content: object, maxAge: number): Promise<void> {
      // The one that was written last is the last to go, so the map begins with those that are due.
      sessions.delete(id)
      sessions.set(id, { content, until: Date.now() + maxAge })
      for (const [id, { until }] of sessions) {
        if (until > Date.now()) break
        sessions.delete(id)
      }
    },

    async destroy(id: string): Promise<void> {
      sessions.delete(id)
    },
  }
}
