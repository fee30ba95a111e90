import assert from 'node:assert/strict'
import { test } from 'node:test'
import { systemClock, systemRandom } from '../base/index.ts'
import { createIdentity, generateSeed } from '../identity/index.ts'
import { emptyNetworkFile } from '../testing/index.ts'
import { type NetworkFile, signNetworkFile, verifyNetworkFile } from './index.ts'

const operator = createIdentity(generateSeed(systemRandom))
const other = createIdentity(generateSeed(systemRandom))
const trusted = { operator: operator.evmAddress, clock: systemClock }

function file(change: Partial<NetworkFile> = {}): NetworkFile {
  return {
    ...emptyNetworkFile(),
    bootstraps: [
      {
        peerId: other.peerId.toString(),
        multiaddrs: ['/ip4/127.0.0.1/tcp/4001', '/dns4/a.example/tcp/1'],
      },
    ],
    announcers: [{ peerId: other.peerId.toString(), signer: other.evmAddress }],
    seeds: [{ peerId: other.peerId.toString() }],
    prices: [
      {
        version: 1,
        service: `0x${'ab'.repeat(32)}`,
        priceGas18: '10000000000000000',
        unitBytes: '1073741824',
      },
    ],
    ...change,
  }
}

const isInvalid = (fault: RegExp) => (thrown: unknown) => {
  assert.ok(thrown instanceof Error && 'code' in thrown)
  assert.equal(thrown.code, 'network-file-invalid')
  assert.match(thrown.message, fault)
  return true
}

test('what the operator signed is taken, whatever the order of its members on disk', () => {
  const { signed, signature } = signNetworkFile(operator, file())
  const reordered = JSON.parse(
    JSON.stringify({ signature, signed: Object.fromEntries(Object.entries(signed).toReversed()) }),
  ) as unknown
  assert.deepEqual(verifyNetworkFile(reordered, trusted), file())
})

test('a file of somebody else, a changed one and an expired one are refused', () => {
  assert.throws(
    () => verifyNetworkFile(signNetworkFile(other, file()), trusted),
    isInvalid(/signed/),
  )
  const { signed, signature } = signNetworkFile(operator, file())
  const changed = { signed: { ...signed, version: 2 }, signature }
  assert.throws(() => verifyNetworkFile(changed, trusted), isInvalid(/signed/))
  const old = signNetworkFile(operator, file({ expires: '2026-01-02T00:00:00Z' }))
  assert.throws(() => verifyNetworkFile(old, trusted), isInvalid(/expired/))
})

test('what is malformed is refused with the place of the fault', () => {
  const { signed, signature } = signNetworkFile(operator, file())
  for (const [candidate, fault] of [
    [undefined, /expected object/],
    [{ signed, signature: '0x12' }, /signature/],
    [{ signed: { ...signed, surplus: 1 }, signature }, /surplus/],
    [
      { signed: { ...signed, bootstraps: [{ peerId: 'nobody', multiaddrs: [] }] }, signature },
      /peerId/,
    ],
    [{ signed: { ...signed, expires: 'tomorrow' }, signature }, /expires/],
  ] as const) {
    assert.throws(() => verifyNetworkFile(candidate, trusted), isInvalid(fault))
  }
})
