import type { DueItem } from '../data.js'
import { duration } from './format.js'

/** `ends in 59 min`. */
export function dueText(item: DueItem): string {
  return `${what(item)} in ${duration(item.in)}`
}

function what({ what, name }: DueItem): string {
  switch (what) {
    case 'unload':
      return 'unloads'
    case 'end':
      return 'ends'
    case 'value':
      return `${name} expires`
  }
}
