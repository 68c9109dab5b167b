import { tmpdir, userInfo } from 'node:os'
import { join, resolve } from 'node:path'
import { invalid } from './errors.js'
import { count, type Duration, duration, flag, oneOf, type Size, size } from './parse.js'

/** The options of `gradioState()` that concern files. */
export interface FileOptions {
  /**
   * The directory that contains the files. Other processes may use the same directory; the library changes nothing in it that it
   * didn't create.
   * @default $GRADIO_TEMP_DIR, else `gradio-state-<uid>` in the system's directory for temporary files
   */
  cacheDir?: string
  /**
   * `[frequency, age]`: every `frequency`, files that were created more than `age` ago are deleted, except pinned ones
   * (Gradio's `delete_cache`). @default no sweep by age
   */
  deleteCache?: readonly [Duration, Duration]
  /**
   * `'session'`: the same bytes under one name are stored once per session. `'cache'`: once for all sessions, by hard links; then
   * files must not be edited in place. @default 'session'
   */
  dedup?: 'session' | 'cache'
  /** @default '200mb' */
  maxFileSize?: Size
  /** The size of all files of a session. Each file counts at least 4 KiB. @default '1gb' */
  maxSessionBytes?: Size
  /** The number of saved and uploaded files in a session. @default 1000 */
  maxSessionFiles?: number
  /** The size of all files of this instance. Each file counts at least 4 KiB. @default '10gb' */
  maxCacheBytes?: Size
  /** Whether `POST <path>/upload` stores files of the field `files`. @default false */
  uploadRoute?: boolean
}

/** {@link FileOptions} with defaults; sizes in bytes, durations in milliseconds. */
export interface FileConfig {
  readonly cacheDir: string
  readonly isDefaultDir: boolean
  readonly deleteCache: { readonly frequency: number; readonly age: number } | undefined
  readonly dedup: 'session' | 'cache'
  readonly maxFileSize: number
  readonly maxSessionBytes: number
  readonly maxSessionFiles: number
  readonly maxCacheBytes: number
  readonly uploadRoute: boolean
}

// Mapped over the type, so that the compiler keeps both lists complete.
export const FILE_OPTIONS: Readonly<Record<keyof FileOptions, true>> = {
  cacheDir: true,
  deleteCache: true,
  dedup: true,
  maxFileSize: true,
  maxSessionBytes: true,
  maxSessionFiles: true,
  maxCacheBytes: true,
  uploadRoute: true,
}

/** Validates the options that concern files, and adds the defaults. */
export function parseFileOptions(options: FileOptions): FileConfig {
  const {
    cacheDir = process.env.GRADIO_TEMP_DIR || undefined,
    deleteCache,
    dedup = 'session',
    maxFileSize = '200mb',
    maxSessionBytes = '1gb',
    maxSessionFiles = 1000,
    maxCacheBytes = '10gb',
    uploadRoute = false,
  } = options
  if (
    cacheDir !== undefined &&
    (typeof cacheDir !== 'string' || cacheDir === '' || cacheDir.includes('\0'))
  ) {
    throw invalid('cacheDir', 'the path of a directory', cacheDir)
  }
  return {
    cacheDir: resolve(cacheDir ?? defaultDir()),
    isDefaultDir: cacheDir === undefined,
    deleteCache: deleteCache === undefined ? undefined : parseDeleteCache(deleteCache),
    dedup: oneOf('dedup', dedup, ['session', 'cache']),
    maxFileSize: size('maxFileSize', maxFileSize),
    maxSessionBytes: size('maxSessionBytes', maxSessionBytes),
    maxSessionFiles: count('maxSessionFiles', maxSessionFiles),
    maxCacheBytes: size('maxCacheBytes', maxCacheBytes),
    uploadRoute: flag('uploadRoute', uploadRoute),
  }
}

/** Each user of the machine has a separate directory, because a shared one could not be protected from other users. */
function defaultDir(): string {
  return join(tmpdir(), `gradio-state-${process.getuid?.() ?? userInfo().username}`)
}

/** Gradio silently takes `[1, 0]` for "off". Here a zero is an error. */
function parseDeleteCache(value: unknown): { frequency: number; age: number } {
  if (!Array.isArray(value) || value.length !== 2) {
    throw invalid('deleteCache', 'two durations: [frequency, age]', value)
  }
  // Not Infinity, which would silently mean "off" as well.
  const bounds = { from: 1, to: Number.MAX_SAFE_INTEGER }
  return {
    frequency: duration('the frequency in deleteCache', value[0], bounds),
    age: duration('the age in deleteCache', value[1], bounds),
  }
}
