import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { refused } from '@ioex/node/base'
import {
  createProvingGround,
  GAS,
  GIB_BYTES,
  IOEX,
  identityOf,
  type ProvingGround,
  servers,
} from './proving-ground.ts'

const [first = '0x', second = '0x', third = '0x'] = servers
const K = 9_500n
const BPS = 10_000n

async function on(
  options: Parameters<typeof createProvingGround>[0],
  run: (ground: ProvingGround) => Promise<void>,
): Promise<void> {
  const ground = await createProvingGround(options)
  try {
    await run(ground)
  } finally {
    await ground.stop()
  }
}

describe('from receipts to coins', () => {
  let ground: ProvingGround
  after(() => ground.stop())

  test('every amount follows from the receipts, to the last unit', async () => {
    ground = await createProvingGround({})
    const { gateway } = ground
    const bridge = await ground.bridge()
    const grants = [gateway.grant(), gateway.grant()] as const
    gateway.add(grants[0], first, 100n * GIB_BYTES, 100n * GIB_BYTES)
    gateway.add(grants[0], second, 23n * GIB_BYTES + 7n, 123n * GIB_BYTES + 7n)
    gateway.add(grants[1], second, 5n * GIB_BYTES + 1n)

    const status = await bridge.settleNow()
    const gas =
      ((123n * GIB_BYTES + 7n) * GAS) / 100n / GIB_BYTES +
      ((5n * GIB_BYTES + 1n) * GAS) / 100n / GIB_BYTES
    const burned = (gas * IOEX) / (10n * GAS)
    const reward = (burned * K) / BPS
    assert.equal(status.gasBilled18, gas)
    assert.equal(status.burnedIoex, burned)
    assert.ok(reward - status.ioexPaid <= 1n, `${status.ioexPaid} of ${reward}`)
    assert.equal(status.epochs, 1)
    assert.deepEqual(status.unpaid, [])
    assert.equal(status.transactions.length, 1)

    const paid = [await ground.balanceOf(first), await ground.balanceOf(second)]
    assert.equal((paid[0] ?? 0n) + (paid[1] ?? 0n), status.ioexPaid)
    assert.equal(paid[0], (reward * GAS) / gas)

    gateway.add(grants[0], first, 120n * GIB_BYTES, 143n * GIB_BYTES + 7n)
    gateway.add(grants[1], third, 50n * GIB_BYTES, 55n * GIB_BYTES + 1n)
    const later = await bridge.settleNow()
    assert.equal(later.epochs, 2)
    assert.equal(later.gasBilled18, gas + (70n * GAS) / 100n)
    const newReward = (later.burnedIoex * K) / BPS - reward
    assert.equal(await ground.balanceOf(first), (paid[0] ?? 0n) + (newReward * 20n) / 70n)
    assert.equal(await ground.balanceOf(third), (newReward * 50n) / 70n)
    await bridge.stop()
    await bridge.stop()
  })

  test('settling again changes nothing and costs nothing', async () => {
    const folder = await ground.folder()
    const bridge = await ground.bridge({ folder })
    const before = await bridge.settleNow()
    const again = await bridge.settleNow()
    assert.equal(again.gasBilled18, before.gasBilled18)
    assert.deepEqual(again.transactions, before.transactions)
    await bridge.stop()
  })
})

test('a lying gateway gets nothing paid, and each lie its reason', async () => {
  await on({}, async (ground) => {
    const { gateway } = ground
    const bridge = await ground.bridge(
      {},
      { signer: { sign: () => Promise.resolve(refused('no')) } },
    )
    const honest = gateway.grant()
    const receipt = gateway.add(honest, first, GIB_BYTES)
    const item = gateway.items[0]
    gateway.put(item?.grant, item?.receipt)
    gateway.put(item?.grant, { ...receipt, message: { ...receipt.message, serverBytes: 1 } })
    const json = item?.receipt as { message: object; signature: string }
    const forged = { message: { ...json.message, server: second }, signature: json.signature }
    gateway.put(item?.grant, forged)
    gateway.add(honest, third, honest.message.maxBytes + 1n)
    gateway.add(gateway.grant({}, identityOf(77)), second, GIB_BYTES)
    gateway.add(gateway.grant({ priceVersion: 9 }), second, GIB_BYTES)
    gateway.put('no grant', 'no receipt')
    gateway.put(gateway.items[5]?.grant, json)

    const status = await bridge.settleNow()
    const reasons = status.unpaid.map(({ reason, server }) => [reason, server])
    assert.deepEqual(reasons, [
      ['receipt-not-rising', first],
      ['receipt-malformed', undefined],
      ['receipt-signer-wrong', second],
      ['receipt-beyond-grant', third],
      ['receipt-malformed', undefined],
      ['receipt-grant-unknown', first],
      ['signer-not-authorised', second],
      ['price-unknown', second],
      ['not-signed', first],
    ])
    assert.equal(status.gasBilled18, 0n)
    await bridge.stop()

    // The same receipts with an honest signer: only the one honest receipt is paid.
    const honestBridge = await ground.bridge(
      {},
      {
        signer: {
          sign: async (request, _evidence, options) => {
            gateway.items.length = 1
            return gateway.sign(request, { leaves: [] }, options)
          },
        },
      },
    )
    const paid = await honestBridge.settleNow()
    assert.equal(paid.gasBilled18, GAS / 100n)
    assert.ok((await ground.balanceOf(first)) > 0n)
    assert.equal(await ground.balanceOf(second), 0n)
    assert.equal(await ground.balanceOf(third), 0n)
    await honestBridge.stop()
  })
})

test('over all servers a grant is paid up to its bytes', async () => {
  await on({}, async (ground) => {
    const { gateway } = ground
    const bridge = await ground.bridge()
    const grant = gateway.grant({ maxBytes: 100n * GIB_BYTES })
    gateway.add(grant, first, 80n * GIB_BYTES)
    gateway.add(grant, second, 80n * GIB_BYTES)
    const status = await bridge.settleNow()
    assert.equal(status.gasBilled18, GAS)
    assert.deepEqual(
      status.unpaid.map(({ reason }) => reason),
      ['beyond-grant'],
    )
    await bridge.stop()
  })
})

test('what exceeds the emission ceiling is put off and paid in full later', async () => {
  // 20 coins in two minutes: a minute after the start there is room for about 10 of the 95 to pay.
  await on({ aheadS: 60 }, async (ground) => {
    const { gateway, anvil } = ground
    const bridge = await ground.bridge()
    gateway.add(gateway.grant(), first, 1_000n * GIB_BYTES)
    for (let grant = 0; grant < 99; grant++) gateway.add(gateway.grant(), first, 1_000n * GIB_BYTES)
    const status = await bridge.settleNow()
    assert.equal(status.gasBilled18, 0n)
    assert.equal(status.unpaid.length, 100)
    assert.ok(status.unpaid.every(({ reason }) => reason === 'emission-ceiling'))

    await anvil.rpc('evm_increaseTime', [600])
    await anvil.rpc('evm_mine')
    const later = await bridge.settleNow()
    assert.equal(later.burnedIoex, 100n * IOEX)
    assert.equal(later.ioexPaid, 95n * IOEX)
    assert.deepEqual(later.unpaid, [])
    await bridge.stop()
  })
})

test('an empty escrow and a used-up daily cap put the epoch off, each by its name', async () => {
  await on({ ioex: IOEX, dailyCapGas18: 9n * GAS }, async (ground) => {
    const { gateway } = ground
    const bridge = await ground.bridge()
    const grant = gateway.grant({ maxBytes: 10_000n * GIB_BYTES })
    gateway.add(grant, first, 950n * GIB_BYTES)
    assert.equal((await bridge.settleNow()).vendors[0]?.putOff, 'daily-cap')
    await bridge.stop()
    gateway.add(grant, first, 1_001n * GIB_BYTES)
    const other = await ground.bridge()
    assert.equal((await other.settleNow()).vendors[0]?.putOff, 'escrow-short')
    await other.stop()
  })
})

test('more servers than one transaction holds are all paid', async () => {
  await on({ ioex: 10_000n * IOEX }, async (ground) => {
    const { gateway } = ground
    const bridge = await ground.bridge()
    const many = Array.from(
      { length: 130 },
      (_, at) => `0x${(at + 1).toString(16).padStart(40, '0')}`,
    )
    for (const server of many)
      gateway.add(gateway.grant(), server as `0x${string}`, 10n * GIB_BYTES)
    const status = await bridge.settleNow()
    assert.equal(status.burnedIoex, 130n * (IOEX / 100n))
    assert.equal(status.ioexPaid, (130n * ((IOEX / 100n) * K)) / BPS)
    assert.deepEqual(
      status.transactions.map(({ kind }) => kind),
      ['epoch', 'claims'],
    )
    await bridge.stop()
  })
})
