import { dirname } from 'node:path'
import { codeOf } from './disk.js'
import type { Call, Disk, TripError } from './trips.js'

/** What is to be done on one shelf, whose session's directory it lies in. */
export interface Visit {
  readonly shelf: string
  readonly calls: readonly Call[]
}

/**
 * Gathers what is to be removed at once, by many sessions, into one trip. One for each session that has a single file to
 * remove cost the event loop half as much again.
 */
export class ShelfTrips {
  readonly #disk: Disk
  #gathered: Visit[] = []
  #trip: Promise<Map<Call, unknown>> | undefined

  constructor(disk: Disk) {
    this.#disk = disk
  }

  /** @returns the calls of the trip that have failed, others' too, and why */
  visit(visits: readonly Visit[]): Promise<Map<Call, unknown>> {
    this.#gathered.push(...visits)
    this.#trip ??= this.#depart()
    return this.#trip
  }

  async #depart(): Promise<Map<Call, unknown>> {
    // Those who have come here in step with the first have their turn now.
    await undefined
    this.#trip = undefined
    return visitShelves(this.#disk, this.#gathered.splice(0))
  }
}

/**
 * Makes calls that remove, shelf by shelf, in one trip. Each shelf, and the directory that it is in, has to be what it was
 * made as: a link that an app was made to put in its place (by an archive that it unpacks, say) would lead elsewhere, so
 * nothing is done there. What has failed is no reason to leave out the rest.
 * @returns the calls that have failed, and why
 */
export async function visitShelves(disk: Disk, visits: readonly Visit[]): Promise<Map<Call, unknown>> {
  const failed = new Map<Call, unknown>()
  let left = visits
  while (left.length > 0) {
    try {
      await disk.run(left.flatMap(stepsOf))
      break
    } catch (error) {
      left = afterFailure(left, error as TripError, failed)
    }
  }
  return failed
}

function stepsOf({ shelf, calls }: Visit): Call[] {
  return [['directory', dirname(shelf)], ['directory', shelf], ...calls]
}

/** How many steps come before the calls. */
const CHECKS = 2

/** What is left to do: on the shelf where a step has failed, which is looked at once more, and on those after it. */
function afterFailure(visits: readonly Visit[], error: TripError, failed: Map<Call, unknown>): Visit[] {
  let step = error.done
  for (const [index, { shelf, calls }] of visits.entries()) {
    const rest = visits.slice(index + 1)
    if (step < CHECKS) {
      if (!isElsewhere(error)) for (const call of calls) failed.set(call, error)
      return rest
    }
    const call = calls[step - CHECKS]
    if (call !== undefined) {
      failed.set(call, error)
      return [{ shelf, calls: calls.slice(step - CHECKS + 1) }, ...rest]
    }
    step -= CHECKS + calls.length
  }
  // It has failed as a whole.
  for (const { calls } of visits) for (const call of calls) failed.set(call, error)
  return []
}

/** What was there is gone, or something else is in its place: there is nothing to remove. */
function isElsewhere(error: TripError): boolean {
  const code = codeOf(error)
  return code === 'ENOENT' || code === 'ENOTDIR'
}
