import { randomBytes, randomInt } from 'node:crypto'
import { mkdir, readdir, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import sharp from 'sharp'

const colours = ['red', 'green', 'blue', 'orange', 'yellow', 'purple'] as const

export interface Picture {
  name: string
  colour: (typeof colours)[number]
  webp: Buffer
  /** In milliseconds since the epoch. */
  paintedAt: number
}

/** A square of 100 by 100 pixels in a random colour. */
export async function paint(): Promise<Picture> {
  const colour = colours[randomInt(colours.length)] as Picture['colour']
  const square = sharp({ create: { width: 100, height: 100, channels: 3, background: colour } })
  return {
    name: `${colour}-${randomBytes(6).toString('hex')}.webp`,
    colour,
    webp: await square.webp({ lossless: true }).toBuffer(),
    paintedAt: Date.now(),
  }
}

/** One directory for each user, created when its first picture is saved. */
export function userDirectories(root: string) {
  const directoryOf = (id: string) => path.join(root, id)

  return {
    async save(id: string, { name, webp }: Pick<Picture, 'name' | 'webp'>): Promise<void> {
      await mkdir(directoryOf(id), { recursive: true, mode: 0o700 })
      await writeFile(path.join(directoryOf(id), name), webp, { flag: 'wx' })
    },

    async count(id: string): Promise<number> {
      const names = await readdir(directoryOf(id)).catch(error => {
        if (error.code === 'ENOENT') return []
        throw error
      })
      return names.length
    },

    async remove(id: string): Promise<void> {
      await rm(directoryOf(id), { recursive: true, force: true })
    },
  }
}
