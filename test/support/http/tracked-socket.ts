import { EventEmitter } from 'node:events'

/** The part of an app's socket that `track()` uses. */
export class TrackedSocket extends EventEmitter {
  destroyed = false

  close(): void {
    this.destroyed = true
    this.emit('close')
  }
}
