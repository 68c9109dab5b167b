/** An in-memory store for koa-session, like the default store of express-session. */
export function memoryStore() {
  const sessions = new Map<string, { content: object; until: number }>()

  return {
    async get(id: string): Promise<object | undefined> {
      const found = sessions.get(id)
      return found && found.until > Date.now() ? found.content : undefined
    },

    async set(id: string, content: object, maxAge: number): Promise<void> {
      // All have the same lifetime, so the map is in the order of expiry.
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
