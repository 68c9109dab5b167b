// A process that has files in the given cache directory and checks them continuously. It prints the path of
// the first, runs until its input ends, and then prints how often it found all of them unchanged.

import { readFile } from 'node:fs/promises'
import { setImmediate as turn } from 'node:timers/promises'
import { openCache } from './open-cache.ts'

const cache = openCache(process.argv[2] as string, { dedup: 'cache' })
const held: { path: string; text: string }[] = []

async function save(): Promise<void> {
  const text = `${held.length}`.repeat(1000)
  const { path } = await cache.of(crypto.randomUUID(), () => {}).save(Buffer.from(text), 'held.txt')
  held.push({ path, text })
}

let isOver = false
process.stdin.resume().once('end', () => {
  isOver = true
})
await save()
console.log(held[0]?.path)
let looks = 0
while (!isOver) {
  for (const { path, text } of held)
    if ((await readFile(path, 'utf8')) !== text) throw new Error(`${path} is wrong`)
  if (held.length < 50) await save()
  looks++
  await turn()
}
await cache.close()
console.log(looks)
