import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { TestContext } from 'node:test'
import type { ChannelMessages } from '../../../lib/index.ts'

export type ChannelName = keyof ChannelMessages

/** Mapped over the type, so that the compiler keeps the list complete. */
const NAMES: Readonly<Record<ChannelName, true>> = {
  'gradio-state:session:begin': true,
  'gradio-state:session:load': true,
  'gradio-state:session:expire': true,
  'gradio-state:session:unload': true,
  'gradio-state:session:end': true,
  'gradio-state:value:delete': true,
  'gradio-state:page:open': true,
  'gradio-state:page:close': true,
  'gradio-state:file:save': true,
  'gradio-state:file:delete': true,
  'gradio-state:hook:run': true,
  'gradio-state:error': true,
}

export const channelNames = Object.keys(NAMES) as ChannelName[]

export interface Published {
  readonly channel: ChannelName
  readonly message: Readonly<Record<string, unknown>>
}

/** Collects the messages of all instances while a test runs. */
export function published(t: TestContext): Published[] {
  const all: Published[] = []
  for (const channel of channelNames) {
    const subscriber = (message: unknown) => all.push({ channel, message: message as Published['message'] })
    subscribe(channel, subscriber)
    t.after(() => unsubscribe(channel, subscriber))
  }
  return all
}

/**
 * Collects the messages of one instance while a test runs, as text without ids: `session:end disconnected`.
 * @returns takes the text of the messages since the last call; only those of channels whose names begin with `prefix`
 */
export function publishedBy(t: TestContext, { id }: { readonly id: string }): (prefix?: string) => string[] {
  const all = published(t)
  return (prefix = '') =>
    all
      .splice(0)
      .filter(({ message }) => message.instance === id)
      .map(textOf)
      .filter(text => text.startsWith(prefix))
}

function textOf({ channel, message }: Published): string {
  const { instance, session, page, error, ...rest } = message
  return [channel.replace('gradio-state:', ''), ...Object.values(rest)].join(' ')
}
