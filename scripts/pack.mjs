// Makes the package as it is published: package.json without what only the repository uses, and pages without links to files that
// are not in the package.
//   node scripts/pack.mjs FOLDER       writes the tarball into a folder, and prints its path
//   node scripts/pack.mjs --in-place   changes the files here, for `npm pack` and `npm publish`. The script `postpack` restores them

import { execFileSync } from 'node:child_process'
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, normalize } from 'node:path'
import { fileURLToPath } from 'node:url'

process.chdir(fileURLToPath(new URL('..', import.meta.url)))

/** The originals, while npm packs. The script `postpack` moves them back. */
const ORIGINALS = '.packing'

/** Code, which stays as it is, or a link or image. */
const CODE_OR_LINK = /^```.*?^```|(!?)\[((?:`[^`]*`|[^\]`])*)\]\(([^)\s]+)\)|`[^`\n]*`/gms

const [target] = process.argv.slice(2)
const shipped = packedFiles()
if (target === '--in-place') changeInPlace()
else console.log(packInto(target))

function packedFiles() {
  const output = npm(['pack', '--dry-run', '--json', '--ignore-scripts'])
  return JSON.parse(output)[0].files.map(({ path }) => path)
}

function changeInPlace() {
  // Left by a run that was interrupted.
  if (existsSync(ORIGINALS)) cpSync(ORIGINALS, '.', { recursive: true })
  for (const [file, text] of changes()) {
    cpSync(file, join(ORIGINALS, file))
    writeFileSync(file, text)
  }
}

function packInto(folder) {
  const stage = mkdtempSync(join(tmpdir(), 'gradio-state-pack-'))
  try {
    for (const file of shipped) cpSync(file, join(stage, file))
    for (const [file, text] of changes()) writeFileSync(join(stage, file), text)
    const packed = npm(['pack', '--ignore-scripts', '--pack-destination', folder], stage)
    return join(folder, packed.trim().split('\n').at(-1))
  } finally {
    rmSync(stage, { recursive: true, force: true })
  }
}

/** The files that differ in the package, and their text there. */
function changes() {
  const pages = shipped.filter(file => file.endsWith('.md'))
  const texts = pages.map(file => [file, withoutDeadLinks(file, readFileSync(file, 'utf8'))])
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
function withoutDeadLinks(page, text) {
  return text.replace(CODE_OR_LINK, (whole, image, label, link) => {
    if (link === undefined || /^(https?:|#)/.test(link)) return whole
    if (shipped.includes(normalize(join(dirname(page), link.split('#')[0])))) return whole
    return image ? '' : label
  })
}

function npm(args, cwd = '.') {
  return execFileSync('npm', [...args, '--loglevel=error'], { cwd, encoding: 'utf8' })
}
