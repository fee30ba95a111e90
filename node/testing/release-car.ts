import { createWriteStream } from 'node:fs'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { CarWriter } from '@ipld/car/writer'
import type { CID } from 'multiformats/cid'
import { nodeLinks } from '../chunks/index.ts'
import { collectMetadata, parseReleaseRoot, releaseFileBlocks } from '../firmware/index.ts'
import type { EvmAddress } from '../identity/index.ts'
import type { FakeVendor } from './fake-vendor.ts'

const DAG_CBOR_CODEC = 0x71

/** Writes a release of the fake vendor, as its repository is now, into one file. */
export async function writeReleaseCar(
  path: string,
  vendor: Pick<FakeVendor, 'repository' | 'getBlock'>,
  release: {
    readonly root: CID
    readonly wraps: readonly Uint8Array[]
    /** Instead of the true one. */
    readonly vendor?: EvmAddress
  },
  leaveOut: (cid: CID) => boolean = () => false,
): Promise<void> {
  const { root } = release
  const rootBytes = await vendor.getBlock(root)
  const { tree, ...names } = parseReleaseRoot(rootBytes)
  const metadata = await collectMetadata(names.model, (name) =>
    Promise.resolve(vendor.repository.get(name)),
  )
  const [head, ...others] = releaseFileBlocks({ ...names, ...release, metadata })
  const { writer, out } = CarWriter.create([head.cid])
  const writing = pipeline(Readable.from(out), createWriteStream(path))
  for (const block of [head, ...others]) if (!leaveOut(block.cid)) await writer.put(block)
  await writer.put({ cid: root, bytes: rootBytes })
  const seen = new Set<string>()
  const waiting = [tree]
  for (let cid = waiting.pop(); cid !== undefined; cid = waiting.pop()) {
    if (seen.has(cid.toString())) continue
    seen.add(cid.toString())
    const bytes = await vendor.getBlock(cid)
    if (!leaveOut(cid)) await writer.put({ cid, bytes })
    if (cid.code === DAG_CBOR_CODEC) waiting.push(...nodeLinks(bytes))
  }
  await writer.close()
  await writing
}
