import { randomBytes } from 'node:crypto'
import { tmpdir } from 'node:os'
import path from 'node:path'

export interface Settings {
  /** 0: any free port. */
  port: number
  /** Undefined: all interfaces. */
  host: string | undefined
  /** In seconds, like all durations here. */
  gracePeriod: number
  unloadDelay: number
  /** Infinity: the history is kept as long as its session. */
  timeToLive: number
  /** Where gradio-state stores uploads. */
  cacheDir: string
  /** Contains a directory for the generated pictures of each user. */
  pictureDir: string
  /** Maximum size of an uploaded picture, with a unit. */
  maxFileSize: string
  sessionSecret: string
  /** The name of this node; undefined without a cluster. */
  node: string | undefined
}

export class SettingsError extends Error {
  override name = 'SettingsError'
}

const secondsPerUnit = { ms: 0.001, s: 1, m: 60, h: 3600, d: 86_400 }

/** Reads and checks the environment variables. An empty one counts as not set. */
export function readSettings(env: NodeJS.ProcessEnv = process.env): Settings {
  const timeToLive = seconds(env, 'TIME_TO_LIVE') ?? Number.POSITIVE_INFINITY
  if (timeToLive === 0) throw new SettingsError('TIME_TO_LIVE: expected more than 0 seconds, received 0')

  const cacheDir = path.resolve(env.CACHE_DIR || path.join(tmpdir(), 'gradio-state-example'))
  return {
    port: port(env),
    host: env.HOST || undefined,
    // Short enough to watch. The library's default is an hour.
    gracePeriod: seconds(env, 'GRACE_PERIOD') ?? 30,
    unloadDelay: seconds(env, 'UNLOAD_DELAY') ?? 2,
    timeToLive,
    cacheDir,
    pictureDir: path.resolve(env.PICTURE_DIR || path.join(cacheDir, 'pictures')),
    maxFileSize: size(env, 'MAX_FILE_SIZE') ?? '10 MB',
    // Framework sessions are kept in memory, so their cookies need not survive the process.
    sessionSecret: env.SESSION_SECRET || randomBytes(32).toString('base64url'),
    node: env.NODE_NAME || undefined,
  }
}

function port(env: NodeJS.ProcessEnv): number {
  const text = env.PORT || '3000'
  const port = Number(text)
  if (/^\d+$/.test(text) && port <= 65_535) return port
  throw new SettingsError(`PORT: expected a whole number from 0 to 65535, received '${text}'`)
}

function seconds(env: NodeJS.ProcessEnv, name: string): number | undefined {
  const text = env[name]
  if (!text) return undefined
  const match = /^(\d+(?:\.\d+)?) ?(ms|s|m|h|d)?$/.exec(text.trim())
  if (!match) {
    throw new SettingsError(
      `${name}: expected seconds ('10', '0.5') or a time with a unit ('90s', '60m'), received '${text}'`,
    )
  }
  return Number(match[1]) * secondsPerUnit[(match[2] ?? 's') as keyof typeof secondsPerUnit]
}

function size(env: NodeJS.ProcessEnv, name: string): string | undefined {
  const text = env[name]
  if (!text) return undefined
  const [, amount, unit] = /^(\d+(?:\.\d+)?) ?([kmg]?b)$/i.exec(text.trim()) ?? []
  if (amount && unit) return `${amount} ${unit.toUpperCase()}`
  throw new SettingsError(`${name}: expected a size with a unit ('500kb', '10mb'), received '${text}'`)
}
