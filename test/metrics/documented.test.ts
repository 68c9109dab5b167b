// The tables in docs/operations.md.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { read } from '../support/package/files.ts'
import { useAllChannels } from '../support/sessions/all-channels.ts'
import { channelNames, published } from '../support/sessions/channels.ts'

test('the messages of each channel have the documented fields, and no others', async t => {
  const messages = published(t)
  await useAllChannels(t)
  const fields = channelNames.map(name => {
    const own = messages.filter(({ channel }) => channel === name)
    return [name, [...new Set(own.flatMap(({ message }) => Object.keys(message)))].sort()] as const
  })
  assert.deepEqual(Object.fromEntries(fields), documentedFields())
})

/** The fields of each channel. What is in parentheses are their values, or conditions. */
function documentedFields(): Record<string, string[]> {
  const rows = read('docs/operations.md').matchAll(/^\| `(gradio-state:[a-z:]+)` \|.*\|([^|]*)\|$/gm)
  return Object.fromEntries(
    [...rows].map(([, channel = '', text = '']) => [
      channel,
      [...text.replaceAll(/\([^)]*\)/g, '').matchAll(/`(\w+)`/g)].map(([, field = '']) => field).sort(),
    ]),
  )
}
