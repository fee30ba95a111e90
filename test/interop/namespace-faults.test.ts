/**
 * Upstream faults that show only on a thin link or on public addresses, each in a network namespace of its own.
 * Each test fails once upstream has mended the fault; its message says what can go then.
 */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { inOwnNamespace } from './own-namespace.ts'

const program = (name: string) => join(import.meta.dirname, name)

test('upstream: bitswap never brings a block of 1 MiB over 512 kbit/s, one of 256 KiB it does', {
  timeout: 90_000,
}, async (t) => {
  const thin = [
    'ip link set lo mtu 1500',
    'tc qdisc add dev lo root tbf rate 512kbit burst 8kb latency 1s',
  ]
  const outcome = await inOwnNamespace(thin, program('thin-link-bitswap.ts'), 80_000)
  if (!outcome.ok) {
    t.skip(outcome.lacks)
    return
  }
  assert.deepEqual(
    JSON.parse(outcome.said),
    { arrived: [true, false] },
    'bitswap waits for slow messages now (network.ts had a deadline of 10 s for each); blocks may be larger, ' +
      'and BITSWAP_MESSAGE_MS of node/exchange/limits.ts may go',
  )
})

test('upstream: an AutoNAT v1 server closes the live connection of whoever asks it to dial back', {
  timeout: 60_000,
}, async (t) => {
  const addresses = ['ip addr add 3fff::1/128 dev lo', 'ip addr add 3fff::2/128 dev lo']
  const outcome = await inOwnNamespace(addresses, program('autonat-close.ts'), 50_000)
  if (!outcome.ok) {
    t.skip(outcome.lacks)
    return
  }
  const { before, after } = JSON.parse(outcome.said) as { before: string; after: string }
  assert.equal(before, 'open')
  assert.notEqual(
    after,
    'open',
    'AutoNAT v1 leaves live connections alone now; nodes may run it to learn whether they can be reached',
  )
})
