/** Chunk by chunk whatever is least bytes: the local copy, the patch, the chunk itself. */
import { open, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { type GetBlock, openChunk, openPatches, walkTree } from '@ioex/node/chunks'
import { hashFile, openLocalChunks, type Slots } from '@ioex/node/device'
import { type OpenedRelease, openDeltaRoot } from '@ioex/node/firmware'
import { CID } from 'multiformats/cid'
import { mkdir } from 'node:fs/promises'
import { openBlockFile } from './block-file.ts'
import type { PublishedDelta, PublishedRelease } from './ours-tasks.ts'

const DAG_CBOR_CODEC = 0x71

export async function writePatched(
  needs: {
    readonly slots: Slots
    readonly folder: string
    readonly get: GetBlock
    readonly getDelta: GetBlock
  },
  job: {
    readonly installed: PublishedRelease
    readonly release: PublishedRelease
    readonly opened: OpenedRelease
    readonly delta: PublishedDelta
  },
): Promise<void> {
  const { slots, folder, getDelta } = needs
  const { installed, release, opened, delta } = job
  const base = slots.paths('a').image
  const { part, image, folder: slot } = slots.paths('b')
  const lists = openDeltaRoot(
    await getDelta(CID.parse(delta.root)),
    { base: CID.parse(installed.root), release: CID.parse(release.root) },
    Uint8Array.fromHex(release.releaseKey),
  )
  const kept = await openBlockFile(installed.blocks)
  const get: GetBlock = (cid, options) =>
    cid.code === DAG_CBOR_CODEC && kept.has(cid) ? kept.get(cid) : needs.get(cid, options)
  const local = await openLocalChunks(base, join(folder, 'chunks-a.idx'))
  await mkdir(slot, { recursive: true })
  const file = await open(part, 'w')
  const baseFile = await open(base, 'r')
  const { size: baseBytes } = await baseFile.stat()
  const patches = await openPatches(lists, {
    get: getDelta,
    baseBytes,
    readBase: async (offset, bytes) => {
      const into = Buffer.allocUnsafe(bytes)
      const { bytesRead } = await baseFile.read(into, 0, bytes, offset)
      return bytesRead === bytes ? into : undefined
    },
  })
  let offset = 0
  let chunk = 0
  for await (const ref of walkTree(opened.treeRef, get)) {
    let plain = await local?.read(ref.plainHash, ref.plainBytes)
    const patch = patches.find(chunk++)
    if (plain === undefined && patch !== undefined) {
      plain = await patches.apply(patch, { ref, offset })
    }
    plain ??= await openChunk(ref, await get(ref.cid))
    await file.write(plain, 0, plain.byteLength, offset)
    offset += plain.byteLength
  }
  await file.sync()
  await file.close()
  await rename(part, image)
  await hashFile(image)
  await baseFile.close()
  await local?.close()
  await kept.close()
}
