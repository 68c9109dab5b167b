import { readFileSync } from 'node:fs'

/** The state of a process, from Linux. */
export interface ProcessStat {
  readonly parent: number
  /** The start time in clock ticks since boot, of which there are 100 a second. Detects a reused pid. */
  readonly started: string
}

/** Reads a process of the same PID namespace; `undefined` for one that is dead, and on systems without `/proc`. */
export function statOf(pid: number): ProcessStat | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // The fields of proc(5) from the third one on. The second one is the name, which may contain spaces and parentheses.
    const [state, parent, ...fields] = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    const started = fields[17]
    // A zombie is dead, but remains listed until its parent waits for it: never, in a container without an init process.
    if (state === 'Z' || state === 'X' || started === undefined) return undefined
    return { parent: Number(parent), started }
  } catch {
    return undefined
  }
}
