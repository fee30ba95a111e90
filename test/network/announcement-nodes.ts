/**
 * One process of announcements.test.ts: a bootstrap, or a crowd of leaves that report how long after its
 * making each of them heard each announcement. What to be comes as the first message.
 */
import { MemoryDatastore } from 'datastore-core'
import { silentLog, systemClock, systemRandom } from '../../node/base/index.ts'
import { createIdentity, type EvmAddress, generateSeed } from '../../node/identity/index.ts'
import { createNetwork, type Network, type NetworkFile } from '../../node/network/index.ts'

export type Order =
  | { readonly be: 'bootstrap'; readonly file: NetworkFile; readonly seed: string }
  | {
      readonly be: 'leaves'
      readonly file: NetworkFile
      readonly leaves: number
      readonly vendor: EvmAddress
    }

export type Report =
  | { readonly kind: 'listening'; readonly multiaddrs: readonly string[] }
  | { readonly kind: 'joined' }
  | { readonly kind: 'subscribers'; readonly peers: readonly string[] }
  | { readonly kind: 'heard'; readonly leaf: string; readonly version: string; readonly ms: number }

const REPORT_EVERY_MS = 250

async function start(order: Order, seed: Uint8Array): Promise<Network> {
  const network = createNetwork(
    {
      identity: createIdentity(seed),
      gate: {},
      datastore: new MemoryDatastore(),
      clock: systemClock,
      random: systemRandom,
      log: silentLog,
    },
    {
      role: order.be === 'bootstrap' ? 'bootstrap' : 'device',
      listen: order.be === 'bootstrap' ? ['/ip4/127.0.0.1/tcp/0'] : [],
      networkFile: order.file,
      // All leaves share one address here.
      maxNewConnectionsPerIpPerSecond: 1000,
    },
  )
  await network.start()
  return network
}

async function obey(order: Order): Promise<void> {
  if (order.be === 'bootstrap') {
    const bootstrap = await start(order, Uint8Array.fromHex(order.seed))
    report({ kind: 'listening', multiaddrs: bootstrap.addresses().direct.map(String) })
    for (;;) {
      report({ kind: 'subscribers', peers: subscribers(bootstrap) })
      await systemClock.sleep(REPORT_EVERY_MS)
    }
  }
  for (let count = 0; count < order.leaves; count++) {
    const network = await start(order, generateSeed(systemRandom))
    const leaf = network.peerId.toString()
    network.listen([order.vendor], ({ version, issuedAtMs }) => {
      report({ kind: 'heard', leaf, version, ms: systemClock.nowMs() - issuedAtMs })
    })
  }
  report({ kind: 'joined' })
}

/** Peers to which a bootstrap passes announcements on. */
function subscribers(bootstrap: Network): string[] {
  const { pubsub } = bootstrap.libp2p.services as { pubsub: { mesh: Map<string, Set<string>> } }
  return [...new Set([...pubsub.mesh.values()].flatMap((peers) => [...peers]))]
}

function report(what: Report): void {
  process.send?.(what)
}

process.once('message', (order: Order) => {
  obey(order).catch((thrown: unknown) => {
    process.stderr.write(`${String(thrown)}\n`)
    process.exit(1)
  })
})
// These nodes hold nothing: the process ends with its parent's word or with the parent.
process.once('disconnect', () => process.exit(0))
process.on('error', () => process.exit(0))
