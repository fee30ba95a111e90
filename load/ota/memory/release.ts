/** A release on disk: a gateway that answers over HTTP, a seed that keeps it, and the same in one file. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { createNode, type IoexNode } from '@ioex/node'
import { fromUtf8, GIB, MIB, silentLog, systemClock, toHex, unixSeconds } from '@ioex/node/base'
import { wrapReleaseKey } from '@ioex/node/firmware'
import { createIdentity } from '@ioex/node/identity'
import { emptyNetworkFile } from '@ioex/node/testing'
import {
  createFakeGateway,
  createFakeVendor,
  type FakeGateway,
  MODEL,
  writeReleaseCar,
} from '@ioex/node/testing/devices'
import { CID } from 'multiformats/cid'

const LOOPBACK = '127.0.0.1'
/** Longer than the bench. */
const TRUSTED_S = 24 * 3_600
const BATCH_BYTES = 4 * MIB
const VERSION = '1.0.0'
export const CODE = '7F3K-92QD'

export interface Publisher {
  readonly gatewayUrl: string
  /** For the devices that have enrolled by now. */
  publish(image: AsyncIterable<Uint8Array>): Promise<{ readonly car: string }>
  stop(): Promise<void>
}

export async function startPublisher(folder: string): Promise<Publisher> {
  const signer = createIdentity(new Uint8Array(32).fill(1))
  const node = await startSeed(folder)
  const store = createPinned(node)
  const vendor = createFakeVendor({ clock: systemClock, store }, { name: 'memory' })
  const networkFile = emptyNetworkFile()
  const { chainId, verifyingContract } = networkFile.ledger
  const domain = { chainId, verifyingContract }
  const parts = { clock: systemClock, vendor, signer, domain, networkFile }
  const gateway = createFakeGateway(parts)
  gateway.codes.set(CODE, MODEL)
  const recipients = new Set<string>()
  const server = createServer((request, response) => {
    answer(gateway, recipients, request, response).catch((thrown: unknown) => {
      response.writeHead(500).end(String(thrown))
    })
  })
  await new Promise<void>((listening) => server.listen(0, LOOPBACK, listening))
  const { port } = server.address() as AddressInfo
  return {
    gatewayUrl: `http://${LOOPBACK}:${port}`,
    async publish(image) {
      const { packed } = await vendor.publish(image, { model: MODEL, version: VERSION })
      await store.put({ cid: packed.root, bytes: packed.rootBytes })
      await store.commit(packed.root)
      const root = packed.root.toString()
      const digest = toHex(packed.root.multihash.digest)
      const wrap = await wrapReleaseKey(packed.releaseKey, [...recipients])
      const sealedBytes = packed.sealedBytes + packed.rootBytes.byteLength
      gateway.releases.set(root, { root, digest, sealedBytes, wrap })
      node.serverBook.trust(digest, [signer.evmAddress], unixSeconds(systemClock) + TRUSTED_S)
      gateway.sources.push({
        peerId: node.identity.peerId,
        multiaddrs: node.network.addresses().direct,
        ...(node.network.httpUrl === undefined ? {} : { http: node.network.httpUrl }),
      })
      const car = join(folder, 'release.car')
      await writeReleaseCar(car, vendor, { root: packed.root, wraps: [wrap] })
      return { car }
    },
    async stop() {
      server.closeAllConnections()
      server.close()
      await node.stop()
    },
  }
}

function startSeed(folder: string): Promise<IoexNode> {
  return createNode(
    { identity: createIdentity(new Uint8Array(32).fill(2)), log: silentLog },
    {
      home: join(folder, 'seed'),
      role: 'seed',
      nospam: () => new Uint8Array(4),
      networkFile: emptyNetworkFile(),
      listen: [`/ip4/${LOOPBACK}/tcp/0`],
      httpListen: { host: LOOPBACK, port: 0 },
      quotaBytes: 8 * GIB,
      acceptPins: false,
    },
  )
}

/** Blocks that come one by one go to the seed's disk in batches, under one pin. */
function createPinned({ storage }: IoexNode) {
  const placeholder = CID.parse('bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku')
  const session = storage.pins.open(placeholder)
  let waiting: { readonly cid: CID; readonly bytes: Uint8Array }[] = []
  let waitingBytes = 0
  const flush = async () => {
    const batch = waiting
    waiting = []
    waitingBytes = 0
    if (batch.length > 0) await (await session).add(batch)
  }
  return {
    async put(block: { readonly cid: CID; readonly bytes: Uint8Array }) {
      waiting.push(block)
      waitingBytes += block.bytes.byteLength
      if (waitingBytes >= BATCH_BYTES) await flush()
    },
    async get(cid: CID) {
      await flush()
      const bytes = await storage.blocks.get(cid)
      if (bytes === undefined) throw new Error(`no ${cid}`)
      return bytes
    },
    async commit(root: CID) {
      await flush()
      await (await session).commit({ owner: 'order:bench' }, root)
    },
  }
}

async function answer(
  gateway: FakeGateway,
  recipients: Set<string>,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const parts: Buffer[] = []
  for await (const part of request) parts.push(part as Buffer)
  const body = fromUtf8(Buffer.concat(parts))
  const recipient = /age1[02-9ac-hj-np-z]{58}/.exec(body)?.[0]
  if (recipient !== undefined) recipients.add(recipient)
  const { method = 'GET', url = '/' } = request
  const told = await gateway.fetch(`${gateway.url}${url}`, {
    method,
    ...(body === '' ? {} : { body }),
  })
  response.writeHead(told.status, Object.fromEntries(told.headers))
  response.end(Buffer.from(await told.arrayBuffer()))
}
