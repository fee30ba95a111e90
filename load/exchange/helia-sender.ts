import { heard, say, taskOf } from './bench-process.ts'
import { startHelia } from './helia-node.ts'

export interface ServeTask {
  readonly store: string
}

const helia = await startHelia(taskOf<ServeTask>().store, ['/ip4/127.0.0.1/tcp/0'])
say({ multiaddrs: helia.libp2p.getMultiaddrs().map(String) })
await heard()
await helia.stop()
