/** A device without any network installs a release that somebody carried to it. */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { inOwnNamespace } from '../interop/own-namespace.ts'
import type { CutOffStory } from './cut-off-device.ts'

test('a device in a namespace without a link, not even to itself, installs from a file', {
  timeout: 60_000,
}, async (t) => {
  const program = join(import.meta.dirname, 'cut-off-device.ts')
  const outcome = await inOwnNamespace(['ip link set lo down'], program, 50_000)
  if (!outcome.ok) {
    t.skip(outcome.lacks)
    return
  }
  const { links, told, isSame } = JSON.parse(outcome.said) as CutOffStory
  assert.deepEqual(links, [])
  assert.deepEqual([told.outcome, told.version, told.reportsPending], ['updated', '1.0.0', 2])
  assert.ok(isSame)
})
