import { PROFILE_64K, type PutBlock } from '@ioex/node/chunks'
import { MIB } from '@ioex/node/base'
import { collectKnown, openRelease, type PackedRelease, packRelease } from '@ioex/node/firmware'
import type { EvmAddress } from '@ioex/node/identity'
import type { Block, PinSession } from '@ioex/node/storage'
import { CID } from 'multiformats/cid'
import type { Parts } from '../context.ts'
import { ProblemError } from '../problems.ts'
import type { UploadRow } from '../store/tables.ts'

/** Blocks that go to disk with one durability barrier. */
const FLUSH_BYTES = 4 * MIB
/** Earlier releases of the model whose chunks are used again: more cost reading time and save little. */
const KNOWN_RELEASES = 3
/** zstd's own default trades speed and size well: about 200 MB/s on one core. */
const ZSTD_LEVEL = 3

type Needs = Pick<Parts, 'db' | 'keys' | 'node'>

/**
 * Packs a stream into blocks of a pin session. Memory does not grow with the image. What fails leaves blocks
 * in the session only, which its owner drops.
 */
export async function receiveImage(
  needs: Needs,
  upload: UploadRow,
  source: AsyncIterable<Uint8Array>,
  session: PinSession,
  options: {
    readonly signal: AbortSignal
    readonly onPacked: (imageBytes: number) => void
  },
): Promise<PackedRelease & { readonly newBytes: number }> {
  const contentSecret = await needs.keys.get(upload.vendor, 'content-secret')
  if (contentSecret === undefined) {
    throw new ProblemError('custody-wrong', 'the keys of this vendor are with the vendor', {
      fix: 'Publish with: ioex firmware publish FILE --model M --version V',
    })
  }
  const known = await knownChunks(needs, upload)
  const reused = new Map<string, CID>()
  const blocks = inBatches(session)
  const failing = new AbortController()
  try {
    const packed = await packRelease(source, blocks.put, {
      vendor: upload.vendor as EvmAddress,
      model: upload.model,
      version: upload.version,
      contentSecret,
      zstdLevel: ZSTD_LEVEL,
      profile: PROFILE_64K,
      signal: AbortSignal.any([options.signal, failing.signal]),
      onProgress: options.onPacked,
      known: {
        find(hash) {
          const ref = known.find(hash)
          if (ref !== undefined) reused.set(ref.cid.toString(), ref.cid)
          return ref
        },
      },
    })
    await blocks.flush()
    for (const cid of reused.values()) {
      if (await session.adopt(cid)) continue
      throw new ProblemError('fault', `block ${cid.toString()} of an earlier release is damaged`, {
        fix: 'Withdraw that release and upload again.',
      })
    }
    return { ...packed, newBytes: blocks.bytes() }
  } catch (thrown) {
    failing.abort(thrown)
    // What is being written ends before the session is dropped, or it would come after.
    await blocks.close()
    throw thrown
  }
}

async function knownChunks({ db, keys, node }: Needs, upload: UploadRow) {
  const earlier = await db
    .selectFrom('releases')
    .select('id')
    .where('vendor', '=', upload.vendor)
    .where('model', '=', upload.model)
    .where('state', '!=', 'withdrawn')
    .orderBy('created_ms', 'desc')
    .limit(KNOWN_RELEASES)
    .execute()
  const get = async (cid: CID) => {
    const bytes = await node.storage.blocks.get(cid)
    if (bytes !== undefined) return bytes
    throw new ProblemError('fault', `block ${cid.toString()} is missing`)
  }
  const trees = []
  for (const { id } of earlier.reverse()) {
    const releaseKey = await keys.get(upload.vendor, `release-key/${id}`)
    const rootBytes = await node.storage.blocks.get(CID.parse(id))
    if (releaseKey === undefined || rootBytes === undefined) continue
    trees.push(openRelease(rootBytes, releaseKey).treeRef)
  }
  return collectKnown(trees, get)
}

interface Batches {
  readonly put: PutBlock
  flush(): Promise<void>
  /** Takes no more blocks; resolves when nothing is being written any more. */
  close(): Promise<void>
  bytes(): number
}

function inBatches(session: PinSession): Batches {
  const writing = new Set<Promise<void>>()
  let waiting: Block[] = []
  let waitingBytes = 0
  let allBytes = 0
  let isClosed = false
  const flush = async () => {
    const batch = waiting
    waiting = []
    waitingBytes = 0
    if (batch.length === 0) return
    const work = session.add(batch)
    writing.add(work)
    try {
      await work
    } finally {
      writing.delete(work)
    }
  }
  return {
    async put(block) {
      if (isClosed) throw new ProblemError('upload-broken', 'the upload has broken off')
      waiting.push(block)
      waitingBytes += block.bytes.byteLength
      allBytes += block.bytes.byteLength
      if (waitingBytes >= FLUSH_BYTES) await flush()
    },
    flush,
    async close() {
      isClosed = true
      waiting = []
      await Promise.allSettled(writing)
    },
    bytes: () => allBytes,
  }
}
