/** Runs in a namespace whose loopback is thin: one block of 256 KiB and one of 1 MiB over stock bitswap. */
import { withBitswap } from '@helia/bitswap'
import { withLibp2pLight } from '@helia/libp2p'
import { KIB, MIB, systemClock } from '@ioex/node/base'
import { blockOf } from '@ioex/node/testing'
import { identify } from '@libp2p/identify'
import { noise } from '@libp2p/noise'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { createHeliaLight } from 'helia'
import { randomBytes } from 'node:crypto'

const RAW = 0x55

async function stockHelia() {
  const helia = withBitswap(
    withLibp2pLight(createHeliaLight(), {
      addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
      transports: [tcp()],
      connectionEncrypters: [noise()],
      streamMuxers: [yamux()],
      services: { identify: identify() },
    }),
  )
  await helia.start()
  return helia
}

const [seed, client] = [await stockHelia(), await stockHelia()]
const sizes = [256 * KIB, MIB]
const blocks = sizes.map((bytes) => blockOf(new Uint8Array(randomBytes(bytes)), RAW))
for (const { cid, bytes } of blocks) await seed.blockstore.put(cid, bytes)
await client.libp2p.dial(seed.libp2p.getMultiaddrs())
await systemClock.sleep(1_000)
const arrived: boolean[] = []
for (const { cid } of blocks) {
  const parts = client.blockstore.get(cid, { signal: AbortSignal.timeout(35_000) })
  const [outcome] = await Promise.allSettled([Array.fromAsync(parts)])
  arrived.push(outcome.status === 'fulfilled')
}
process.stdout.write(JSON.stringify({ arrived }), () => process.exit(0))
