import { randomBytes } from 'node:crypto'
import { tmpdir } from 'node:os'
import path from 'node:path'

export interface Settings {
  /** 0 takes any free port. */
  port: number
  /** Undefined listens on every interface. */
  host: string | undefined
  /** In seconds, as all times here. */
  gracePeriod: number
  unloadDelay: number
  /** Undefined: the history lives as long as its session. */
  timeToLive: number | undefined
  /** Where gradio-state keeps what users upload. */
  cacheDir: string
  /** Each user gets a directory in here, for the generated pictures. */
  pictureDir: string
  /** Of one uploaded picture, with its unit. */
  maxFileSize: string
  sessionSecret: string
  /** What this process is called where there are several. */
  node: string | undefined
}

export class SettingsError extends Error {
  override name = 'SettingsError'
}

const secondsPerUnit = { ms: 0.001, s: 1, m: 60, h: 3600, d: 86_400 }

/** What the environment sets, checked. An empty variable counts as one that isn't set. */
export function readSettings(env: NodeJS.ProcessEnv = process.env): Settings {
  const timeToLive = seconds(env, 'TIME_TO_LIVE')
  if (timeToLive === 0) throw new SettingsError('TIME_TO_LIVE: expected more than 0 seconds, received 0')

  const cacheDir = path.resolve(env.CACHE_DIR || path.join(tmpdir(), 'gradio-state-example'))
  return {
    port: port(env),
    host: env.HOST || undefined,
    gracePeriod: seconds(env, 'GRACE_PERIOD') ?? 3600,
    unloadDelay: seconds(env, 'UNLOAD_DELAY') ?? 2,
    timeToLive,
    cacheDir,
    pictureDir: path.resolve(env.PICTURE_DIR || path.join(cacheDir, 'pictures')),
    maxFileSize: size(env, 'MAX_FILE_SIZE') ?? '10 MB',
    // The framework sessions live in memory: a secret that outlives the process would have nothing to open.
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
