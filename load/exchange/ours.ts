/** Ours: a seed and a device as `createNode` makes them, under a signed grant, metered, receipts on. */
import { join } from 'node:path'
import { MIB, systemClock, systemRandom, toHex, unixSeconds } from '@ioex/node/base'
import { createIdentity, generateSeed } from '@ioex/node/identity'
import { grantId, serviceId, signedGrantToJson, signGrant } from '@ioex/node/receipts'
import { emptyNetworkFile } from '@ioex/node/testing'
import { quotaFor } from './content.ts'
import type { ReceiverTask, SenderAddress, SenderTask, Wire } from './ours-tasks.ts'
import { go, measured, type Prepare, type Rig, runFolder, startNode } from './rig.ts'
import type { RunFigures } from './types.ts'

/** The wires of this build: the row of one that is not here says so. */
const WIRES: readonly Wire[] = ['libp2p', 'http']
/** A grant holds for the whole bench and a bit. */
const GRANT_SECONDS = 24 * 3600

const vendor = createIdentity(generateSeed(systemRandom))
const seedSeed = generateSeed(systemRandom)
let serial = 0n

export function ours(wire: Wire): Prepare {
  return async (rig) => {
    if (!WIRES.includes(wire)) {
      return { ok: false, reason: 'the HTTP wire is not part of this build yet' }
    }
    return {
      ok: true,
      value: {
        version: process.version,
        durability: 'fdatasync of batches on both sides, before a receipt covers the bytes',
        note: 'seed and device of createNode, grant, metered, receipts on; fetchAndPin',
        run: () => transfer(rig, wire),
      },
    }
  }
}

async function transfer(rig: Rig, wire: Wire): Promise<RunFigures> {
  const { content } = rig
  const quotaBytes = quotaFor(content.plainBytes)
  const root = content.root.toString()
  const rootDigest = toHex(content.root.multihash.digest)
  const deviceSeed = generateSeed(systemRandom)
  const now = unixSeconds(systemClock)
  const grant = signGrant(vendor, emptyNetworkFile().ledger, {
    vendor: vendor.evmAddress,
    device: createIdentity(deviceSeed).evmAddress,
    root: rootDigest,
    deltaRoot: toHex(new Uint8Array(32)),
    maxBytes: BigInt(Math.ceil(1.1 * content.blockBytes) + MIB),
    service: serviceId('ioex/bandwidth'),
    priceVersion: 1,
    notBefore: now - 60,
    notAfter: now + GRANT_SECONDS,
    serial: serial++,
  })
  const senderTask: SenderTask = {
    seedHex: seedSeed.toHex(),
    home: content.senderHome,
    quotaBytes,
    rootDigest,
    signer: vendor.evmAddress,
    trustUntil: now + GRANT_SECONDS,
    grantId: grantId(grant.message),
  }
  const sender = startNode(rig, 'ours-sender.ts', senderTask, true)
  const source = JSON.parse(await sender.line()) as SenderAddress
  const receiverTask: ReceiverTask = {
    home: join(runFolder(rig), 'device'),
    quotaBytes,
    seedHex: deviceSeed.toHex(),
    root,
    grant: signedGrantToJson(grant),
    source,
    wire,
  }
  const receiver = startNode(rig, 'ours-receiver.ts', receiverTask, true)
  await receiver.line()
  const figures = await measured({ sender, receiver }, () => go(receiver, content.blockBytes))
  await receiver.finish()
  sender.tell('receipts')
  const paid = JSON.parse(await sender.line()) as { bytes: number }
  await sender.finish()
  if (paid.bytes !== content.blockBytes) {
    throw new Error(`receipts cover ${paid.bytes} bytes of ${content.blockBytes}`)
  }
  return figures
}
