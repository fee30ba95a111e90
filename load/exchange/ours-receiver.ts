/** The device of `ours.ts`: knocks and connects, says that it is ready, and fetches and pins the tree. */
import { createNode } from '@ioex/node'
import { silentLog, systemClock, tuneForBulk } from '@ioex/node/base'
import { createIdentity } from '@ioex/node/identity'
import { signedGrantFromJson } from '@ioex/node/receipts'
import { emptyNetworkFile } from '@ioex/node/testing'
import { peerIdFromString } from '@libp2p/peer-id'
import { multiaddr } from '@multiformats/multiaddr'
import { CID } from 'multiformats/cid'
import { heard, say, taskOf } from './bench-process.ts'
import type { ReceiverTask } from './ours-tasks.ts'

// As `ioex seed` and `ioex peer` do; `ioex device run` saves memory instead.
tuneForBulk()
const task = taskOf<ReceiverTask>()
const grant = signedGrantFromJson(task.grant)
if (!grant.ok) throw new Error(grant.detail)
const node = await createNode(
  { identity: createIdentity(Uint8Array.fromHex(task.seedHex)), log: silentLog },
  {
    home: task.home,
    role: 'device',
    nospam: () => new Uint8Array(4),
    networkFile: emptyNetworkFile(),
    listen: [],
    quotaBytes: task.quotaBytes,
    acceptPins: false,
  },
)
const source = {
  peerId: peerIdFromString(task.source.peerId),
  multiaddrs: task.source.multiaddrs.map((text) => multiaddr(text)),
  http: task.source.http,
}
const knocked = await node.friends.knock(source, grant.value)
if (!knocked.ok) throw new Error(`the seed does not let us in: ${knocked.reason}`)
node.gate.admit(source.peerId, grant.value.message.notAfter * 1_000)
if (task.wire === 'libp2p') {
  await node.network.libp2p.dial([...knocked.value.addresses, ...source.multiaddrs])
}
say({ ready: true })
if ((await heard()) === 'go') {
  const startedMs = systemClock.monotonicMs()
  const report = await node.exchange.fetchAndPin({
    root: CID.parse(task.root),
    grant: grant.value,
    sources: [source],
    wires: [task.wire],
    owner: { owner: 'install' },
  })
  const seconds = (systemClock.monotonicMs() - startedMs) / 1_000
  say({ seconds, bytes: report.fetchedBytes })
  await heard()
}
await node.stop()
