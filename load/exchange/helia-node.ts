/** Stock Helia as npm has it, on its file store; bitswap's deadlines are long enough never to be the limit. */
import { withBitswap } from '@helia/bitswap'
import { withLibp2pLight } from '@helia/libp2p'
import * as dagCbor from '@ipld/dag-cbor'
import { identify } from '@libp2p/identify'
import { noise } from '@libp2p/noise'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { FsBlockstore } from 'blockstore-fs'
import { createHeliaLight } from 'helia'

const MESSAGE_TIMEOUT_MS = 120_000

export async function startHelia(store: string, listen: readonly string[]) {
  const blockstore = new FsBlockstore(store)
  await blockstore.open()
  const helia = withBitswap(
    withLibp2pLight(createHeliaLight({ blockstore, codecs: [dagCbor] }), {
      addresses: { listen: [...listen] },
      transports: [tcp()],
      connectionEncrypters: [noise()],
      streamMuxers: [yamux()],
      services: { identify: identify() },
    }),
    { messageSendTimeout: MESSAGE_TIMEOUT_MS, messageReceiveTimeout: MESSAGE_TIMEOUT_MS },
  )
  await helia.start()
  return helia
}
