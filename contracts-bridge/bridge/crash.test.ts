import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createProvingGround, GAS, GIB_BYTES, IOEX, servers } from './proving-ground.ts'
import { openDoors, startBridgeProcess } from './proving-processes.ts'

const [first = '0x', second = '0x'] = servers

/** Each is one moment at which the bridge is killed; the number says at which of its occurrences. */
const MOMENTS: readonly (readonly [moment: string, occurrence: number])[] = [
  ['before:/v1/receipts', 1],
  ['after:/v1/receipts', 1],
  ['before:/v1/billing/epochs', 1],
  ['after:/v1/billing/epochs', 1],
  ['before:eth_estimateGas', 1],
  ['before:eth_sendRawTransaction', 1],
  // The transaction is in a block and the bridge does not know.
  ['after:eth_sendRawTransaction', 1],
  ['after:eth_getTransactionReceipt', 1],
  ['after:eth_getLogs', 1],
  ['after:eth_getLogs', 2],
  ['before:/v1/billing/status', 1],
]
const RANDOM_KILLS = 2

test('killed at any moment, the bridge neither pays twice nor forgets', async () => {
  const ground = await createProvingGround({})
  const doors = await openDoors(ground)
  const folder = await ground.folder()
  const { gateway } = ground
  const grant = gateway.grant({ maxBytes: 100_000n * GIB_BYTES })
  let bytes = 0n
  const serveMore = () => {
    bytes += 3n * GIB_BYTES + 1n
    gateway.add(grant, first, bytes, 2n * bytes)
    gateway.add(grant, second, bytes, 2n * bytes)
  }
  try {
    for (const [moment, occurrence] of MOMENTS) {
      serveMore()
      let left = occurrence
      let kill = () => undefined as void
      let isOver = false
      doors.watch = (now) => {
        if (now === moment && !isOver && --left === 0) kill()
      }
      let pending = false
      kill = () => {
        pending = true
      }
      const bridge = startBridgeProcess(ground, doors, folder).then((running) => {
        kill = () => running.child.kill('SIGKILL') && undefined
        if (pending) kill()
        return running
      })
      const running = await bridge
      await running.exited
      isOver = true
      assert.equal(running.child.signalCode, 'SIGKILL', moment)
    }
    doors.watch = () => undefined
    for (let kills = 0; kills < RANDOM_KILLS; kills++) {
      serveMore()
      const running = await startBridgeProcess(ground, doors, folder)
      await new Promise((resolve) => setTimeout(resolve, Math.random() * 300))
      running.child.kill('SIGKILL')
      await running.exited
    }

    const running = await startBridgeProcess(ground, doors, folder)
    const answer = await fetch(`${running.url}/epoch`, { method: 'POST' })
    const status = (await answer.json()) as Record<string, unknown>
    running.child.kill('SIGTERM')
    await running.exited
    assert.equal(running.child.exitCode, 0)

    const gas = (2n * bytes * (GAS / 100n)) / GIB_BYTES
    assert.equal(status['gasBilled18'], String(gas))
    assert.deepEqual(status['unpaid'], [])
    const account = (await ground.settlement.getFunction('vendorOf').staticCall(ground.vendor)) as {
      burnedGas18: bigint
      burnedIoex: bigint
      paidIoex: bigint
    }
    assert.equal(account.burnedGas18, gas)
    const posts = await ground.settlement.queryFilter('EpochPosted')
    const exact = (gas * IOEX) / (10n * GAS)
    assert.ok(exact - account.burnedIoex <= BigInt(posts.length), 'a unit of rounding per epoch')
    assert.equal(
      (await ground.balanceOf(first)) + (await ground.balanceOf(second)),
      account.paidIoex,
    )
    // Every epoch once: its number never comes again.
    const numbers = posts.map((post) => ('args' in post ? String(post.args[1]) : ''))
    assert.equal(new Set(numbers).size, numbers.length)
  } finally {
    await doors.close()
    await ground.stop()
  }
})
