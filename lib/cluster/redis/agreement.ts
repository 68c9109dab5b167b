import { GradioStateError } from '../../errors.js'

/**
 * The format of the records in Redis. To be increased with each change that an earlier version of this library can't read: nodes with
 * different formats don't work together.
 */
export const RECORD_FORMAT = '2'

/** Options that have to be the same on all nodes, with their values as text. */
export type AgreedOptions = Readonly<Record<string, string>>

/** Compares this node's options with those of the other nodes. */
export class Agreement {
  readonly #report: (error: Error) => void
  readonly #reported = new Set<string>()

  /** @param report called once for each option and other value */
  constructor(report: (error: Error) => void) {
    this.#report = report
  }

  /** @param others the options of the other nodes, as JSON */
  compare(own: AgreedOptions, others: readonly string[]): void {
    for (const other of new Set(others)) {
      for (const [name, theirs] of Object.entries(parse(other))) {
        const ours = own[name]
        // A shared state may be defined later, or in another version of the app only.
        if (ours === undefined || ours === theirs) continue
        const difference = `${name}: ${ours} on this node, ${theirs} on another`
        if (this.#reported.has(difference)) continue
        this.#reported.add(difference)
        this.#report(otherOptions(difference))
      }
    }
  }
}

/** Doesn't fail for a record that another version or another program has written. */
function parse(text: string): Record<string, unknown> {
  try {
    const parsed: unknown = JSON.parse(text)
    return typeof parsed === 'object' && parsed !== null ? { ...parsed } : {}
  } catch {
    return {}
  }
}

function otherOptions(difference: string): GradioStateError {
  return new GradioStateError(
    'CLUSTER_MISMATCH',
    `Expected all nodes of the cluster to have the same options, got ${difference}. What happens to a user depends on the node until both are the same. Apps that share a Redis need different prefixes. (Reported once.)`,
  )
}

/** @param format that of a live node */
export function otherFormat(format: string): GradioStateError {
  return new GradioStateError(
    'CLUSTER_MISMATCH',
    `Expected all nodes of the cluster to run a version of gradio-state with records of format ${RECORD_FORMAT}, got one with format ${format}. This node works without the cluster until that node has stopped.`,
  )
}

/** @param name the key of the record in Redis */
export function recordDamaged(name: string): GradioStateError {
  return new GradioStateError(
    'CLUSTER_RECORD_DAMAGED',
    `Expected the record ${name} in Redis to have the format of this version, got one of another type, or with missing or corrupted fields. It was deleted, and the session that it belonged to has lost its content.`,
  )
}

/** @param message the error of the script */
export function commandFailed(name: string, message: string): GradioStateError {
  return new GradioStateError(
    'CLUSTER_UNAVAILABLE',
    `Expected Redis to run the command ${name}, got an error: ${message}`,
  )
}
