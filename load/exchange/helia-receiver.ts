/** Walks the tree through a session with the sender, many blocks at once, and syncs the store at the end. */
import { systemClock } from '@ioex/node/base'
import * as dagCbor from '@ipld/dag-cbor'
import { multiaddr } from '@multiformats/multiaddr'
import { CID } from 'multiformats/cid'
import { heard, say, taskOf } from './bench-process.ts'
import { startHelia } from './helia-node.ts'
import { syncFileSystem } from './sync.ts'

export interface FetchTask {
  readonly store: string
  readonly root: string
  readonly multiaddrs: readonly string[]
}

const RAW = 0x55
/** Blocks asked for at once: what gave Helia the most of 16, 64, 256 and 1,024. */
const WIDTH = 64
/** Bitswap hears of a peer once identify has told its protocols. */
const IDENTIFY_MS = 1_000

const task = taskOf<FetchTask>()
const helia = await startHelia(task.store, [])
const connection = await helia.libp2p.dial(task.multiaddrs.map((text) => multiaddr(text)))
await systemClock.sleep(IDENTIFY_MS)
const root = CID.parse(task.root)
say({ ready: true })
if ((await heard()) === 'go') {
  const startedMs = systemClock.monotonicMs()
  const bytes = await fetchTree()
  await syncFileSystem(task.store)
  say({ seconds: (systemClock.monotonicMs() - startedMs) / 1_000, bytes })
  await heard()
}
await helia.stop()

async function fetchTree(): Promise<number> {
  const session = helia.blockstore.createSession(root, {
    providers: [connection.remotePeer.toCID()],
    maxProviders: 1,
  })
  const waiting = [root]
  let bytes = 0
  const visit = async (cid: CID) => {
    for await (const part of session.get(cid)) {
      bytes += part.byteLength
      if (cid.code === RAW) continue
      const { links } = dagCbor.decode<{ links: CID[] }>(part)
      // The first link is taken first.
      waiting.push(...links.toReversed())
    }
  }
  const inFlight = new Set<Promise<void>>()
  for (;;) {
    for (let cid = next(); cid !== undefined; cid = next()) {
      const visiting: Promise<void> = visit(cid).finally(() => inFlight.delete(visiting))
      inFlight.add(visiting)
    }
    if (inFlight.size === 0) return bytes
    await Promise.race(inFlight)
  }

  function next(): CID | undefined {
    return inFlight.size < WIDTH ? waiting.pop() : undefined
  }
}
