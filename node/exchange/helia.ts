/** Helia over our network; loaded only by nodes that want it, since it costs 70 MiB of memory. */
import { withBitswap } from '@helia/bitswap'
import type { BlockBroker } from '@helia/interface'
import type { Libp2p, PeerId, Startable as LibraryPart, StreamHandler } from '@libp2p/interface'
import type { Blockstore } from 'interface-blockstore'
import { NotFoundError } from 'interface-store'
import { BaseBlockstore } from 'blockstore-core'
import { createHeliaLight, type Helia } from 'helia'
import { AsyncLocalStorage } from 'node:async_hooks'
import type { CID } from 'multiformats/cid'
import { type BlockStore, createDatastore, createHeliaBlockstore } from '../storage/index.ts'
import {
  BITSWAP_MAX_MESSAGE_BYTES,
  BITSWAP_MAX_STREAMS,
  BITSWAP_MAX_WANTS,
  BITSWAP_MESSAGE_MS,
} from './limits.ts'
import type { HeliaNeeds, HeliaNode } from './types.ts'
import { createSharedView, type SharedView } from './shared-view.ts'

export function startHelia(needs: HeliaNeeds): HeliaNode {
  const { storage, network, exchange, gate } = needs
  const view = createSharedView(needs)
  /** Who asks, from the stream's handler down to the look into the store. */
  const asking = new AsyncLocalStorage<PeerId>()
  const helia: Helia = createHeliaLight({
    blockstore: createHeliaBlockstore(storage.blocks),
    datastore: createDatastore(storage, 'helia'),
    // One broker only: Helia would race several for every block.
    blockBrokers: [exchange.broker],
    holdGcLock: false,
  })
  let bitswap: (BlockBroker & LibraryPart) | undefined

  return {
    helia,
    async start() {
      if (bitswap !== undefined) return
      await helia.start()
      bitswap = await bitswapOver(helia, {
        libp2p: gated(network.libp2p, gate.isFriend, asking),
        blockstore: new FriendsBlockstore(storage.blocks, view, asking),
      })
    },
    async stop() {
      if (bitswap === undefined) return
      const stopping = bitswap
      bitswap = undefined
      await stopping.stop()
      await helia.stop()
    },
  }
}

/**
 * Bitswap takes the node that it is mixed into as its parts; it is handed one whose network lets friends in
 * only and whose store shows them what was shared. It serves and does not fetch: our broker does that.
 */
async function bitswapOver(
  helia: Helia,
  parts: { readonly libp2p: Libp2p; readonly blockstore: Blockstore },
): Promise<BlockBroker & LibraryPart> {
  const taken: { broker?: BlockBroker & LibraryPart; start?: (node: unknown) => unknown } = {}
  const node = {
    ...parts,
    routing: helia.routing,
    logger: helia.logger,
    getHasher: helia.getHasher,
    status: 'starting',
    hasBlockBroker: () => false,
    addMixin(mixin: { start?: (node: unknown) => unknown }) {
      Object.assign(taken, { start: mixin.start })
    },
    addBlockBroker(broker: BlockBroker & LibraryPart) {
      taken.broker = broker
    },
  }
  withBitswap(node as unknown as Parameters<typeof withBitswap>[0], {
    maxInboundStreams: BITSWAP_MAX_STREAMS,
    maxWantlistSize: BITSWAP_MAX_WANTS,
    maxOutgoingMessageSize: BITSWAP_MAX_MESSAGE_BYTES,
    maxIncomingMessageSize: BITSWAP_MAX_MESSAGE_BYTES,
    messageSendTimeout: BITSWAP_MESSAGE_MS,
    messageReceiveTimeout: BITSWAP_MESSAGE_MS,
    runOnLimitedConnections: true,
  })
  await taken.start?.(node)
  if (taken.broker === undefined) throw new Error('this version of bitswap is mixed in otherwise')
  return taken.broker
}

/** The handler is gated, since a middleware of libp2p is called several times and refuses nothing. */
function gated(
  libp2p: Libp2p,
  isFriend: (peer: PeerId) => boolean,
  asking: AsyncLocalStorage<PeerId>,
): Libp2p {
  const guard =
    (handler: StreamHandler): StreamHandler =>
    (stream, connection) => {
      if (isFriend(connection.remotePeer)) {
        return asking.run(connection.remotePeer, () => handler(stream, connection))
      }
      stream.abort(new Error('bitswap is for friends'))
    }
  return new Proxy(libp2p, {
    get(target, name) {
      if (name === 'handle') {
        const handle: Libp2p['handle'] = (protocols, handler, options) =>
          target.handle(protocols, guard(handler), options)
        return handle
      }
      const value: unknown = Reflect.get(target, name, target)
      return typeof value === 'function' ? (value.bind(target) as unknown) : value
    },
  })
}

/** What bitswap sees: the blocks that were shared with whoever asks, and nothing on its own account. */
class FriendsBlockstore extends BaseBlockstore {
  readonly #blocks: BlockStore
  readonly #view: SharedView
  readonly #asking: AsyncLocalStorage<PeerId>

  constructor(blocks: BlockStore, view: SharedView, asking: AsyncLocalStorage<PeerId>) {
    super()
    this.#blocks = blocks
    this.#view = view
    this.#asking = asking
  }

  override async has(cid: CID): Promise<boolean> {
    const peer = this.#asking.getStore()
    if (peer === undefined || !(await this.#view.shows(cid, peer))) return false
    return this.#blocks.has(cid)
  }

  override async *get(cid: CID): AsyncGenerator<Uint8Array> {
    const bytes = (await this.has(cid)) ? await this.#blocks.get(cid) : undefined
    if (bytes === undefined) throw new NotFoundError(`${cid.toString()} is not here`)
    yield bytes
  }
}
