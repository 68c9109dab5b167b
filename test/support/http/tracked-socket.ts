import { EventEmitter } from 'node:events'

/** As much of a socket of the app's own as `track()` looks at. */
export class TrackedSocket extends EventEmitter {
  destroyed = false

  close(): void {
    this.destroyed = true
    this.emit('close')
  }
}
