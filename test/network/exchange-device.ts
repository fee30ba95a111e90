/**
 * A device in a process of its own, for tests that kill it: knocks with its grant, fetches a tree and says on
 * standard output, a JSON line each, how many blocks are verified and durable. Told when, it sends itself
 * SIGKILL: whoever would do it from outside is late by as much as the machine is busy.
 */
import { createNode } from '@ioex/node'
import { silentLog } from '@ioex/node/base'
import { createIdentity } from '@ioex/node/identity'
import { emptyNetworkFile } from '@ioex/node/testing'
import { signedGrantFromJson } from '@ioex/node/receipts'
import { peerIdFromString } from '@libp2p/peer-id'
import { multiaddr } from '@multiformats/multiaddr'
import { CID } from 'multiformats/cid'

export interface DeviceTask {
  readonly home: string
  readonly seedHex: string
  readonly root: string
  readonly grant: unknown
  readonly killAt?: { readonly blocks: number; readonly afterMs: number }
  readonly sources: readonly { peerId: string; multiaddrs: readonly string[]; http: string }[]
}

const task = JSON.parse(process.argv[2] ?? '{}') as DeviceTask
const say = (line: unknown) => process.stdout.write(`${JSON.stringify(line)}\n`)
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
    quotaBytes: 256 * 1024 * 1024,
    acceptPins: false,
  },
)
const report = await node.exchange.fetchAndPin({
  root: CID.parse(task.root),
  grant: grant.value,
  sources: task.sources.map(({ peerId, multiaddrs, http }) => ({
    peerId: peerIdFromString(peerId),
    multiaddrs: multiaddrs.map((text) => multiaddr(text)),
    http,
  })),
  owner: { owner: 'install' },
  giveUpAfterMs: 20_000,
  onBlock: ({ blocks }) => {
    say({ blocks })
    if (task.killAt === undefined || blocks !== task.killAt.blocks) return
    setTimeout(() => process.kill(process.pid, 'SIGKILL'), task.killAt.afterMs)
  },
})
say({ report })
await node.stop()
