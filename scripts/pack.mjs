// Makes the package as it is published: package.json without what only the repository uses, and pages without links to files that
// are not in the package.
//   node scripts/pack.mjs FOLDER       writes the tarball into a folder, and prints its path
//   node scripts/pack.mjs --in-place   changes the files here, for `npm pack` and `npm publish`. The script `postpack` restores them
//   node scripts/pack.mjs --watch INODE   started by --in-place: restores them if npm is interrupted before `postpack`

import { execFileSync, fork } from 'node:child_process'
import { once } from 'node:events'
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, normalize } from 'node:path'
import { fileURLToPath } from 'node:url'

process.chdir(fileURLToPath(new URL('..', import.meta.url)))

const SCRIPT = 'scripts/pack.mjs'
/** The originals, while npm packs. The script `postpack` moves them back. */
const ORIGINALS = '.packing'

/** Code, which stays as it is, or a link or image. */
const CODE_OR_LINK = /^```.*?^```|(!?)\[((?:`[^`]*`|[^\]`])*)\]\(([^)\s]+)\)|`[^`\n]*`/gms

/** How long npm may take to pack after the files were changed, in milliseconds. It takes less than a second. */
const PATIENCE = 20_000

const [target, inode] = process.argv.slice(2)
if (target === '--watch') {
  watch(inode)
} else {
  const shipped = packedFiles()
  if (target === '--in-place') await changeInPlace(shipped)
  else console.log(packInto(target, shipped))
}

function packedFiles() {
  const output = npm(['pack', '--dry-run', '--json', '--ignore-scripts'])
  return JSON.parse(output)[0].files.map(({ path }) => path)
}

async function changeInPlace(shipped) {
  // Left by a run that was interrupted, whose watcher was killed.
  restore()
  mkdirSync(ORIGINALS)
  // In the same process group as npm, so that it also gets the signal of Ctrl+C.
  const watcher = fork(SCRIPT, ['--watch', inodeOf(ORIGINALS)], {
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
  })
  await once(watcher, 'message')
  watcher.disconnect()
  watcher.unref()
  for (const [file, text] of changes(shipped)) {
    cpSync(file, join(ORIGINALS, file))
    writeFileSync(file, text)
  }
}

/** @param inode of the directory of the run that is watched: another run may follow */
function watch(inode) {
  const isOver = () => inodeOf(ORIGINALS) !== inode
  const end = () => {
    if (!isOver()) restore()
    process.exit()
  }
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, end)
  setTimeout(end, PATIENCE)
  setInterval(() => isOver() && process.exit(), 100)
  process.send('ready')
}

function inodeOf(path) {
  return String(statSync(path, { throwIfNoEntry: false })?.ino)
}

/** Does nothing if the files are the originals. */
function restore() {
  if (!existsSync(ORIGINALS)) return
  cpSync(ORIGINALS, '.', { recursive: true })
  rmSync(ORIGINALS, { recursive: true, force: true })
}

function packInto(folder, shipped) {
  const stage = mkdtempSync(join(tmpdir(), 'gradio-state-pack-'))
  try {
    for (const file of shipped) cpSync(file, join(stage, file))
    for (const [file, text] of changes(shipped)) writeFileSync(join(stage, file), text)
    const packed = npm(['pack', '--ignore-scripts', '--pack-destination', folder], stage)
    return join(folder, packed.trim().split('\n').at(-1))
  } finally {
    rmSync(stage, { recursive: true, force: true })
  }
}

/** The files that differ in the package, and their text there. */
function changes(shipped) {
  const pages = shipped.filter(file => file.endsWith('.md'))
  const texts = pages.map(file => [file, withoutDeadLinks(file, readFileSync(file, 'utf8'), shipped)])
  return [['package.json', manifest()], ...texts].filter(
    ([file, text]) => text !== readFileSync(file, 'utf8'),
  )
}

/** npm reads `postpack` after it has packed, so that one has to be there. */
function manifest() {
  const { scripts, devDependencies, overrides, ...rest } = JSON.parse(readFileSync('package.json', 'utf8'))
  return `${JSON.stringify({ ...rest, scripts: { postpack: scripts.postpack } }, null, 2)}\n`
}

/** Replaces links to files that are not in the package by their text, and removes such images. */
function withoutDeadLinks(page, text, shipped) {
  return text.replace(CODE_OR_LINK, (whole, image, label, link) => {
    if (link === undefined || /^(https?:|#)/.test(link)) return whole
    if (shipped.includes(normalize(join(dirname(page), link.split('#')[0])))) return whole
    return image ? '' : label
  })
}

function npm(args, cwd = '.') {
  return execFileSync('npm', [...args, '--loglevel=error'], { cwd, encoding: 'utf8' })
}
