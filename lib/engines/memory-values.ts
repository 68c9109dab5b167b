import type { SharedValue, SharedValues, ValueClaim, Written } from './shared-values.js'

/** The shared values of an engine in this process. */
export class MemoryValues implements SharedValues {
  read(): SharedValue | undefined {
    throw new Error('not yet')
  }
  write(): Written {
    throw new Error('not yet')
  }
  touch(): boolean {
    throw new Error('not yet')
  }
  delete(): ValueClaim | undefined {
    throw new Error('not yet')
  }
}
