import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { ChannelMessages } from './channel-messages.js'

/** Receives the messages of one instance. Other instances of the process publish on the same channels. */
export class Subscriptions {
  readonly #instance: string
  readonly #stops: (() => void)[] = []

  /** @param instance the id of the instance */
  constructor(instance: string) {
    this.#instance = instance
  }

  on<N extends keyof ChannelMessages>(name: N, listener: (message: ChannelMessages[N]) => void): void {
    const subscriber = (published: unknown) => {
      // The names are this library's, so nothing else publishes there.
      const message = published as ChannelMessages[N]
      if (message.instance === this.#instance) listener(message)
    }
    subscribe(name, subscriber)
    this.#stops.push(() => unsubscribe(name, subscriber))
  }

  stop(): void {
    for (const stop of this.#stops.splice(0)) stop()
  }
}
