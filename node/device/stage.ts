import { createHash } from 'node:crypto'
import { type FileHandle, open } from 'node:fs/promises'
import { crc32 } from 'node:zlib'
import type { CID } from 'multiformats/cid'
import { type AbortOptions, free, type HeldBytes, type Hex, toHex } from '../base/index.ts'
import { type ChunkRef, type GetBlock, openChunk, type TreeRef, walkTree } from '../chunks/index.ts'
import { type ChunkIndex, createChunkIndex, type LocalChunks, readChunk } from './chunk-index.ts'
import type { PatchSource } from './patch-source.ts'
import {
  CHUNK_MAX_BYTES,
  PATCH_WORK_BYTES,
  STAGE_AHEAD_CHUNKS,
  STAGE_MAX_BYTES,
  STAGE_MAX_CHUNKS,
  VERIFY_READ_BYTES,
} from './limits.ts'
import type { Slots } from './slots.ts'
import { deviceError, type SlotName } from './types.ts'
import { createWindow } from './window.ts'

export interface StageNeeds {
  /** Verified and durable when it resolves. */
  readonly get: GetBlock
  /** Asks for many at once, which come in whatever order suits; with the bytes if they have just come. */
  readonly fetch: (cid: CID, options: AbortOptions) => Promise<HeldBytes | undefined>
  /** As `get`, of bytes that nobody else sees: they are given back when the chunk is opened. */
  readonly read?: (cid: CID, options: AbortOptions) => Promise<HeldBytes>
  /** Chunks of the image that runs now. */
  readonly local: LocalChunks | undefined
  /** Patches of that image. */
  readonly patches?: PatchSource | undefined
  /** Told of chunks that were not fetched, so that their blocks can be kept if they are there. */
  readonly onReused?: (cid: CID) => Promise<unknown>
  readonly onProgress: (stagedBytes: number) => void
}

export interface StageJob {
  readonly tree: TreeRef
  readonly imageBytes: number
  readonly slots: Slots
  readonly slot: SlotName
}

export interface Staged {
  readonly index: ChunkIndex
  /** Chunks that were in the file already, or came from the running image. */
  readonly reusedChunks: number
  /** Chunks that were made of the running image and a patch. */
  readonly patchedChunks: number
}

/**
 * Writes the image into the slot, each chunk at its place as it comes. What an earlier run has
 * written is hashed and left; what the running image has is copied, what has a patch is made of both; the rest
 * is fetched, STAGE_AHEAD_CHUNKS at once and in any order, and opened. At most STAGE_MAX_BYTES are in memory. Durable when it resolves.
 */
export async function stageImage(
  needs: StageNeeds,
  { tree, imageBytes, slots, slot }: StageJob,
  options: AbortOptions = {},
): Promise<Staged> {
  const { file, isBlank } = await slots.begin(slot, imageBytes)
  const index = createChunkIndex()
  /** Chunks asked for; their bytes are on the disk. */
  const fetching = createWindow({
    maxItems: STAGE_AHEAD_CHUNKS,
    maxWeight: Number.POSITIVE_INFINITY,
    ...options,
  })
  const opening = createWindow({
    maxItems: STAGE_MAX_CHUNKS,
    maxWeight: STAGE_MAX_BYTES,
    signal: fetching.signal,
  })
  let reusedChunks = 0
  let patchedChunks = 0
  let stagedBytes = 0
  try {
    const staged = (ref: ChunkRef) => {
      stagedBytes += ref.plainBytes
      needs.onProgress(stagedBytes)
    }
    const bring = async (to: Placement, signal: AbortSignal) => {
      const { ref } = to
      if (await patch(to, signal)) {
        patchedChunks++
        staged(ref)
        return
      }
      let sealed = await needs.fetch(ref.cid, { signal })
      if (!opening.hasRoom(ref.plainBytes)) {
        // Whoever has to wait reads it back from the disk, so that what waits takes no memory.
        sealed?.release()
        sealed = undefined
      }
      await opening.run(ref.plainBytes, async () => {
        sealed ??= await needs.read?.(ref.cid, { signal })
        const plain = await openChunk(ref, sealed?.bytes ?? (await needs.get(ref.cid, { signal })))
        sealed?.release()
        await writeChunk(to, plain)
        free(plain)
      })
      staged(ref)
    }
    const patch = async (to: Placement, signal: AbortSignal): Promise<boolean> => {
      const { patches } = needs
      // The bundle first, so that nobody holds a place among those that work while he waits for the network.
      if (patches === undefined || !(await patches.fetch(to.chunk, signal))) return false
      let isMade = false
      await opening.run(to.ref.plainBytes + PATCH_WORK_BYTES, async () => {
        const plain = await patches.make(to, signal)
        if (plain === undefined) return
        try {
          await writeChunk(to, plain.bytes)
        } finally {
          plain.release()
        }
        isMade = true
      })
      return isMade
    }
    // What is there already is looked at one by one.
    const into = Buffer.allocUnsafe(CHUNK_MAX_BYTES)
    let offset = 0
    let chunk = 0
    const walk = { maxPlainBytes: imageBytes, signal: fetching.signal }
    try {
      for await (const ref of walkTree(tree, needs.get, walk)) {
        const to = { file, isBlank, ref, offset, chunk: chunk++ }
        index.add({ offset, bytes: ref.plainBytes, plainHash: ref.plainHash })
        offset += ref.plainBytes
        if (!(await isThere(to, into)) && !(await copyChunk(needs.local, to, into))) {
          await fetching.enter(1, (signal) => bring(to, signal))
          continue
        }
        reusedChunks++
        await needs.onReused?.(ref.cid)
        staged(ref)
      }
    } catch (thrown) {
      fetching.fail(thrown)
    }
    await fetching.finish()
    if (fetching.failure !== undefined) throw fetching.failure
    if (offset !== imageBytes) {
      throw deviceError('release-refused', `the recipe makes ${offset} bytes, not ${imageBytes}`, {
        blame: 'peer',
        fix: 'The publisher made a mistake; publish the release again.',
      })
    }
    await file.sync()
    return { index, reusedChunks, patchedChunks }
  } finally {
    await file.close()
  }
}

interface Placement {
  readonly file: FileHandle
  readonly isBlank: boolean
  readonly ref: ChunkRef
  readonly offset: number
  /** Its number in file order, from 0. */
  readonly chunk: number
}

/** An earlier run has written it. */
async function isThere({ file, isBlank, ref, offset }: Placement, into: Buffer): Promise<boolean> {
  if (isBlank) return false
  return (await readChunk(file, offset, ref.plainBytes, ref.plainHash, into)) !== undefined
}

/** False when the running image does not have it. */
async function copyChunk(
  local: LocalChunks | undefined,
  to: Placement,
  into: Buffer,
): Promise<boolean> {
  const plain = await local?.read(to.ref.plainHash, to.ref.plainBytes, into)
  if (plain === undefined) return false
  await writeChunk(to, plain)
  return true
}

async function writeChunk({ file, isBlank, offset }: Placement, plain: Uint8Array): Promise<void> {
  // A fresh file is one hole, and a hole reads as zeros: leaving it keeps sparse images sparse.
  if (!isBlank || !isZero(plain)) await writeAll(file, plain, offset)
}

function isZero(bytes: Uint8Array): boolean {
  for (const byte of bytes) if (byte !== 0) return false
  return true
}

export async function writeAll(file: FileHandle, bytes: Uint8Array, offset: number): Promise<void> {
  let done = 0
  while (done < bytes.byteLength) {
    const { bytesWritten } = await file.write(bytes, done, bytes.byteLength - done, offset + done)
    done += bytesWritten
  }
}

/**
 * Reads the whole image back from disk, hashes it, notes the checksums of its chunks, and only then gives it
 * its name. Throws `image-mismatch`. Resolves to the sha-256 of the image as 0x and 64 digits.
 */
export async function verifyAndName(
  where: { readonly slots: Slots; readonly slot: SlotName; readonly imageBytes: number },
  expected: { readonly index: ChunkIndex; readonly imageHash: Uint8Array },
  options: AbortOptions = {},
): Promise<Hex> {
  const whole = createHash('sha256')
  const noteSums = sumsOf(expected.index)
  const { slots, slot, imageBytes } = where
  const file = await slots.openWritten(slot)
  try {
    // The digest of the whole covers every chunk; each is hashed again only to find the one that is not as it was.
    for await (const piece of piecesOf(file, imageBytes, options)) {
      whole.update(piece)
      noteSums(piece)
    }
    const digest = whole.digest()
    if (!digest.equals(expected.imageHash)) {
      await requireChunks(file, expected.index)
      throw deviceError('release-refused', 'the image is another one than the release says', {
        blame: 'peer',
        fix: 'The publisher made a mistake; publish the release again.',
      })
    }
    await slots.finish(slot, imageBytes)
    return toHex(digest)
  } finally {
    await file.close()
  }
}

/** Notes the checksums of the chunks in a file that comes in pieces of any size. */
function sumsOf(index: ChunkIndex): (piece: Uint8Array) => void {
  const entries = index.entries()[Symbol.iterator]()
  let chunk = entries.next()
  let entry = 0
  let missing = chunk.value?.bytes ?? 0
  let sum = 0
  return (piece) => {
    for (let at = 0; at < piece.byteLength && chunk.done !== true; ) {
      const part = piece.subarray(at, at + missing)
      sum = crc32(part, sum)
      at += part.byteLength
      missing -= part.byteLength
      if (missing > 0) continue
      index.note(entry++, sum)
      sum = 0
      chunk = entries.next()
      missing = chunk.value?.bytes ?? 0
    }
  }
}

/** The start of a file in pieces of VERIFY_READ_BYTES, each of them good until the next one. */
async function* piecesOf(
  file: FileHandle,
  bytes: number,
  { signal }: AbortOptions,
): AsyncGenerator<Uint8Array> {
  const piece = Buffer.allocUnsafe(VERIFY_READ_BYTES)
  for (let at = 0; at < bytes; ) {
    signal?.throwIfAborted()
    const most = Math.min(piece.byteLength, bytes - at)
    const { bytesRead } = await file.read(piece, 0, most, at)
    if (bytesRead === 0) return
    at += bytesRead
    yield piece.subarray(0, bytesRead)
  }
}

/** Whose fault it is when the whole is another one. Throws `image-mismatch` when the disk gives back other chunks. */
async function requireChunks(file: FileHandle, index: ChunkIndex): Promise<void> {
  const buffer = Buffer.allocUnsafe(CHUNK_MAX_BYTES)
  for (const { offset, bytes, plainHash } of index.entries()) {
    const chunk = await readChunk(file, offset, bytes, plainHash, buffer)
    if (chunk === undefined) throw mismatch(offset)
  }
}

function mismatch(offset: number) {
  return deviceError('image-mismatch', `the disk gave back other bytes at offset ${offset}`, {
    blame: 'local',
    fix: 'The disk is failing, or another program writes into the slot; the chunk is fetched again.',
  })
}

/** sha-256 of the whole image in a slot, read in pieces; undefined when there is none. */
export async function hashImage(
  slots: Pick<Slots, 'image' | 'imageBytes'>,
  slot: SlotName,
  options: AbortOptions = {},
): Promise<Hex | undefined> {
  const bytes = await slots.imageBytes(slot)
  if (bytes === undefined) return undefined
  const whole = createHash('sha256')
  const file = await open(slots.image(slot), 'r')
  try {
    for await (const piece of piecesOf(file, bytes, options)) whole.update(piece)
    return toHex(whole.digest())
  } finally {
    await file.close()
  }
}
