/** The seed of `ours.ts`: its store has the content; it says where it is, and at the end what was receipted. */
import { createNode } from '@ioex/node'
import { silentLog, tuneForBulk } from '@ioex/node/base'
import { createIdentity } from '@ioex/node/identity'
import { emptyNetworkFile } from '@ioex/node/testing'
import { heard, say, taskOf } from './bench-process.ts'
import type { SenderAddress, SenderTask } from './ours-tasks.ts'

// As `ioex seed` and `ioex peer` do; `ioex device run` saves memory instead.
tuneForBulk()
const LOOPBACK = '127.0.0.1'
const task = taskOf<SenderTask>()
const node = await createNode(
  { identity: createIdentity(Uint8Array.fromHex(task.seedHex)), log: silentLog },
  {
    home: task.home,
    role: 'seed',
    nospam: () => new Uint8Array(4),
    networkFile: emptyNetworkFile(),
    listen: [`/ip4/${LOOPBACK}/tcp/0`],
    httpListen: { host: LOOPBACK, port: 0 },
    quotaBytes: task.quotaBytes,
    acceptPins: false,
  },
)
node.serverBook.trust(task.rootDigest, [task.signer], task.trustUntil)
const address: SenderAddress = {
  peerId: node.identity.peerId.toString(),
  multiaddrs: node.network.addresses().direct.map(String),
  http: node.network.httpUrl ?? '',
}
say(address)
while ((await heard()) !== undefined) {
  say({ bytes: Number(node.serverBook.receiptedBytes(task.grantId)) })
}
await node.stop()
