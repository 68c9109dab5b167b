export type EventName = 'LOAD' | 'UNLOAD' | 'STATE DELETED' | 'ENDED'

/** Prints what has happened to a session, and records it for the page of a user who comes back. */
export type Report = (session: string, event: EventName, ...details: (string | number)[]) => Promise<void>

/** A report as the page receives it. */
export interface PastReport {
  event: EventName
  details: (string | number)[]
  secondsAgo: number
}

interface Recorded {
  event: EventName
  details: (string | number)[]
  at: number
}

/** Where reports are recorded. */
export interface Records {
  add(session: string, report: Recorded): Promise<void>
  of(session: string): Promise<Recorded[]>
}

export function createReports(records: Records): {
  report: Report
  reportsOf(session: string): Promise<PastReport[]>
} {
  return {
    async report(session, event, ...details) {
      console.log([event, session, ...details].join(' '))
      await records.add(session, { event, details, at: Date.now() })
    },

    async reportsOf(session) {
      const recorded = await records.of(session)
      return recorded.map(({ event, details, at }) => ({
        event,
        details,
        secondsAgo: (Date.now() - at) / 1000,
      }))
    },
  }
}

/** Records in this process: those of the sessions that were reported last. */
export function localRecords(maxSessions = 1000): Records {
  const sessions = new Map<string, Recorded[]>()
  return {
    async add(session, report) {
      const earlier = sessions.get(session) ?? []
      sessions.delete(session)
      sessions.set(session, [...earlier, report])
      const [oldest] = sessions.keys()
      if (sessions.size > maxSessions && oldest !== undefined) sessions.delete(oldest)
    },

    of: async session => sessions.get(session) ?? [],
  }
}
