import { GradioStateError } from '../errors.js'

export function isUnavailable(error: unknown): error is GradioStateError {
  return error instanceof GradioStateError && error.code === 'CLUSTER_UNAVAILABLE'
}

/** During an outage, an entry continues by the state of this process alone. */
export function unlessUnavailable(error: unknown): 'unavailable' {
  if (isUnavailable(error)) return 'unavailable'
  throw error
}
