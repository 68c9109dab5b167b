import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The directory of the repository. */
export const root = fileURLToPath(new URL('../../..', import.meta.url))

/** The files below a folder that end with one of the extensions, with paths relative to the folder. */
export function filesBelow(folder: string, ...extensions: string[]): string[] {
  return readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter(file => extensions.some(extension => file.endsWith(extension)))
    .map(file => file.replaceAll('\\', '/'))
}

/** @param file relative to the repository */
export function read(file: string): string {
  return readFileSync(join(root, file), 'utf8')
}
