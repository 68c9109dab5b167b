import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

/** The lines of a page outside of code blocks. */
export function outsideCode(page: string): string[] {
  let isCode = false
  return page.split('\n').filter(line => {
    const isFence = /^\s*```/.test(line)
    if (isFence) isCode = !isCode
    return !isCode && !isFence
  })
}

/**
 * The relative links of a page that lead to no file, or to no heading of one.
 * @param page relative to `folder`
 */
export function brokenLinks(page: string, folder: string): string[] {
  const read = (file: string) => readFileSync(join(folder, file), 'utf8')
  const links = outsideCode(read(page))
    .join('\n')
    .matchAll(/\]\((?!https?:)([^)\s]*)\)/g)
  return [...links]
    .map(([, link = '']) => link)
    .filter(link => {
      const [path = '', heading] = link.split('#')
      const target = path === '' ? page : join(dirname(page), path)
      if (!existsSync(join(folder, target))) return true
      return heading !== undefined && !anchorsOf(read(target)).includes(heading)
    })
    .map(link => `${page}: ${link}`)
}

/** The anchors in a page, and those that GitHub gives to its headings. */
function anchorsOf(page: string): string[] {
  const lines = outsideCode(page)
  const anchors = [...lines.join('\n').matchAll(/<a id="([^"]+)">/g)].map(([, id = '']) => id)
  const headings = lines
    .filter(line => /^#+ /.test(line))
    .map(line =>
      line
        .replace(/^#+ /, '')
        .toLowerCase()
        .replace(/[^\p{L}\p{N}_\- ]/gu, '')
        .replaceAll(' ', '-'),
    )
  return [...anchors, ...headings]
}
