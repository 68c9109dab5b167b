import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import connectPgSimple from 'connect-pg-simple'
import { RedisStore } from 'connect-redis'
import session, { type Store } from 'express-session'
import Database from 'libsql'
import createMemoryStore from 'memorystore'
import { Client, Pool } from 'pg'
import { createClient } from 'redis'
import createFileStore from 'session-file-store'
import type { TestServer } from '../servers/guarded-server.ts'
import { postgresServer } from '../servers/postgres-server.ts'
import { redisServer } from '../servers/redis-server.ts'

/** A kind of store that apps use for their sessions, and its server. */
export interface StoreKind {
  /** Creates a store that shares no session with another. */
  make(): Promise<ExpressStore>
  /** The process that stores the sessions, if it isn't this one. */
  readonly server?: TestServer
  close(): Promise<void>
}

/** A store, and ways to change its sessions without its knowledge. */
export interface ExpressStore {
  readonly store: Store
  /** Deletes all sessions, as another client would. */
  flush(): Promise<void>
  /** How long the store keeps that session, in milliseconds since the epoch; `undefined` if there is none. */
  expiryOf(id: string): Promise<number | undefined>
  /** Whether its client has connected, for clients that reconnect by themselves. */
  isConnected?(): boolean
  close(): Promise<void>
}

export const STORE_KINDS = {
  MemoryStore: async (): Promise<StoreKind> => ({
    async make() {
      const store = new session.MemoryStore() as Store & { sessions: Record<string, string> }
      return {
        store,
        async flush() {
          for (const id of Object.keys(store.sessions)) delete store.sessions[id]
        },
        async expiryOf(id) {
          const stored = store.sessions[id]
          return stored === undefined ? undefined : Date.parse(JSON.parse(stored).cookie.expires)
        },
        close: nothing,
      }
    },
    close: nothing,
  }),

  memorystore: async (): Promise<StoreKind> => ({
    async make() {
      const MemoryStore = createMemoryStore(session)
      const store = new MemoryStore({}) as InstanceType<typeof MemoryStore> & { store: Lru }
      return {
        store,
        async flush() {
          store.store.reset()
        },
        expiryOf: async id => store.store.dump().find(({ k }) => k === id)?.e,
        close: nothing,
      }
    },
    close: nothing,
  }),

  /** With the client's defaults: while Redis is unavailable, commands wait. */
  'connect-redis': () => redis(),

  'connect-redis, without an offline queue': () => redis({ disableOfflineQueue: true }),

  async 'connect-pg-simple'(): Promise<StoreKind> {
    const server = await postgresServer()
    const PgStore = connectPgSimple(session)
    let schemas = 0
    return {
      server,
      async make() {
        const schema = `app_${++schemas}`
        const query = async (text: string, ...values: string[]) => {
          const client = new Client(server.address)
          await client.connect()
          try {
            return (await client.query<{ expire: number }>(text, values)).rows
          } finally {
            await client.end()
          }
        }
        await query(`CREATE SCHEMA ${schema}`)
        const pool = new Pool({ ...server.address, max: 2 })
        // Without a listener, an idle connection that is lost ends the process.
        pool.on('error', () => {})
        const store = new PgStore({ pool, schemaName: schema, createTableIfMissing: true, errorLog() {} })
        return {
          store,
          flush: async () => void (await query(`TRUNCATE ${schema}.session`)),
          async expiryOf(id) {
            const [row] = await query(
              `SELECT extract(epoch from expire)::float8 * 1000 AS expire FROM ${schema}.session WHERE sid = $1`,
              id,
            )
            return row?.expire
          },
          async close() {
            await store.close()
            await pool.end()
          },
        }
      },
      close: server.remove,
    }
  },

  'session-file-store': () => files(),

  'session-file-store, without retries': () => files({ retries: 0 }),

  /** Over libsql, which has the interface of better-sqlite3 and doesn't have to be compiled. */
  async 'better-sqlite3-session-store'(): Promise<StoreKind> {
    const folder = await mkdtemp(join(tmpdir(), 'gradio-state-sqlite-'))
    let databases = 0
    return {
      async make() {
        const path = join(folder, String(++databases))
        const client = new Database(path)
        const { made: store, timers } = noteIntervals(() => new SqliteStore({ client }))
        const other = new Database(path)
        return {
          store,
          async flush() {
            other.exec('DELETE FROM sessions')
          },
          async expiryOf(id) {
            const found = other.prepare('SELECT expire FROM sessions WHERE sid = ?').get(id)
            const row = found as { expire: string } | undefined
            return row && Date.parse(row.expire)
          },
          async close() {
            // Its cleanup interval would keep the process alive forever.
            for (const timer of timers) clearInterval(timer)
            client.close()
            other.close()
          },
        }
      },
      close: () => rm(folder, { recursive: true }),
    }
  },
} satisfies Record<string, () => Promise<StoreKind>>

async function redis(options: { disableOfflineQueue?: boolean } = {}): Promise<StoreKind> {
  const server = await redisServer()
  let databases = 0
  async function connect(database: number) {
    const client = createClient({
      socket: { path: server.socket, reconnectStrategy: () => 50 },
      database,
      ...options,
    })
    client.on('error', () => {})
    await client.connect()
    return client
  }
  return {
    server,
    async make() {
      const database = databases++
      const client = await connect(database)
      const other = await connect(database)
      return {
        store: new RedisStore({ client }),
        flush: async () => void (await other.flushDb()),
        async expiryOf(id) {
          const time = await other.pExpireTime(`sess:${id}`)
          return time < 0 ? undefined : time
        },
        isConnected: () => client.isReady,
        async close() {
          client.destroy()
          other.destroy()
        },
      }
    },
    close: server.remove,
  }
}

async function files(options: { retries?: number } = {}): Promise<StoreKind> {
  const FileStore = createFileStore(session)
  const root = await mkdtemp(join(tmpdir(), 'gradio-state-sessions-'))
  return {
    async make() {
      const path = await mkdtemp(join(root, 'app-'))
      const store = new FileStore({ path, reapInterval: -1, logFn() {}, ...options })
      return {
        store,
        async flush() {
          for (const name of await readdir(path)) await rm(join(path, name))
        },
        async expiryOf(id) {
          const text = await readFile(join(path, `${id}.json`), 'utf8').catch(() => undefined)
          if (text === undefined) return undefined
          const stored = JSON.parse(text)
          return stored.__lastAccess + stored.cookie.originalMaxAge
        },
        close: nothing,
      }
    },
    close: () => rm(root, { recursive: true }),
  }
}

/** Of lru-cache 4, in which memorystore keeps its sessions: `k` is the key, `e` its expiry. */
interface Lru {
  reset(): void
  dump(): { k: string; e: number }[]
}

// It has no types.
const SqliteStore = createRequire(import.meta.url)('better-sqlite3-session-store')(session) as new (options: {
  client: unknown
}) => Store

/** The result of `make`, with the intervals that it sets. */
function noteIntervals<T>(make: () => T): { made: T; timers: NodeJS.Timeout[] } {
  const { setInterval } = globalThis
  const timers: NodeJS.Timeout[] = []
  globalThis.setInterval = ((...args: Parameters<typeof setInterval>) => {
    const timer = setInterval(...args)
    timers.push(timer)
    return timer
  }) as typeof setInterval
  try {
    return { made: make(), timers }
  } finally {
    globalThis.setInterval = setInterval
  }
}

async function nothing(): Promise<void> {}
