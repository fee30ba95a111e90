/**
 * Patches from the last releases to the one that is being published, made on this machine. Blocks of the new
 * release are in its CAR; of the earlier ones those that are compared are fetched from the gateway, sealed as they
 * are there, and opened here.
 */
import { createHash } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { CarIndexedReader, CarWriter } from '@ipld/car'
import { ApiError, type Http } from '@ioex/node/api'
import { asError, type Clock } from '@ioex/node/base'
import type { Say } from '@ioex/node/cli'
import {
  DELTA_BASES,
  type DeltaEnd,
  type DeltaTarget,
  type OfflineMetadata,
  openRelease,
  type PackedRelease,
  packDelta,
  releasesOf,
} from '@ioex/node/firmware'
import type { CID } from 'multiformats/cid'
import type { VendorHome } from './vendor-home.ts'

/** Published once and fetched by every device: the most that zstd finds. */
const ZSTD_LEVEL = 19
/** Below the rate of a vendor's token, which other commands use as well. */
const BLOCKS_PER_SECOND = 80
const BLOCK_MAX_BYTES = 2 * 1024 * 1024

export interface DeltaNeeds {
  readonly home: VendorHome
  readonly http: Http
  readonly say: Say
  readonly clock: Clock
  readonly signal: AbortSignal
}

export interface PackedDeltaCar {
  readonly target: DeltaTarget
  readonly car: string
}

/** An earlier release whose key or blocks cannot be had gets no delta, and a note. */
export async function packDeltas(
  needs: DeltaNeeds,
  next: {
    readonly packed: PackedRelease
    readonly car: string
    readonly model: string
    readonly metadata: OfflineMetadata
    readonly folder: string
  },
): Promise<readonly PackedDeltaCar[]> {
  const { home, say } = needs
  const { packed, model, metadata, folder } = next
  const own = await CarIndexedReader.fromFile(next.car)
  // The reader opens its file at the first block; of two that ask at once each would, and one is never closed.
  await own.get(next.packed.root)
  const remote = remoteBlocks(needs)
  const get = async (cid: CID) => (await own.get(cid))?.bytes ?? (await remote(cid))
  const release = openRelease(packed.rootBytes, packed.releaseKey)
  const made: PackedDeltaCar[] = []
  try {
    for (const { root, version } of releasesOf(metadata, model).slice(-DELTA_BASES).reverse()) {
      const base = await baseOf(home, get, root)
      if (base === undefined) continue
      const car = join(folder, `${root.toString()}.delta.car`)
      const progress = say.progress({ label: `Patches from ${version}`, unit: 'items' })
      try {
        const delta = await writeDelta(needs, { base, next: { root: packed.root, release } }, get, {
          car,
          contentSecret: await home.secret('content-secret'),
          releaseKey: packed.releaseKey,
          onProgress: (done, total) => progress.update({ done, total }),
        })
        if (delta !== undefined) made.push({ target: delta, car })
      } catch (thrown) {
        needs.signal.throwIfAborted()
        if (!(thrown instanceof ApiError)) throw thrown
        say.note(`No patches from ${version}: ${asError(thrown).message}`)
      } finally {
        progress.stop()
      }
    }
  } finally {
    await own.close()
  }
  return made
}

async function baseOf(
  home: VendorHome,
  get: (cid: CID) => Promise<Uint8Array>,
  root: CID,
): Promise<DeltaEnd | undefined> {
  const key = await home.releaseKey(root.toString())
  // It was published from another machine.
  if (key === undefined) return undefined
  return { root, release: openRelease(await get(root), key) }
}

async function writeDelta(
  { signal }: DeltaNeeds,
  ends: { readonly base: DeltaEnd; readonly next: DeltaEnd },
  get: (cid: CID) => Promise<Uint8Array>,
  options: {
    readonly car: string
    readonly contentSecret: Uint8Array
    readonly releaseKey: Uint8Array
    readonly onProgress: (done: number, total: number) => void
  },
): Promise<DeltaTarget | undefined> {
  const { writer, out } = CarWriter.create([])
  const writing = pipeline(Readable.from(out), createWriteStream(options.car, { mode: 0o600 }))
  // It is awaited below; a failure before that is not unhandled.
  writing.catch(() => undefined)
  const { contentSecret, releaseKey, onProgress } = options
  const packed = await packDelta(
    ends,
    { get, put: (block) => writer.put(block) },
    { contentSecret, releaseKey, zstdLevel: ZSTD_LEVEL, signal, onProgress },
  ).finally(() => writer.close())
  await writing
  if (packed === undefined) return undefined
  return { baseRoot: ends.base.root, deltaRoot: packed.root, bytes: packed.expectedBytes }
}

/** Checked against their CIDs, and not faster than the gateway allows. */
function remoteBlocks({ http, clock, signal }: DeltaNeeds) {
  let nextMs = 0
  return async (cid: CID): Promise<Uint8Array> => {
    const nowMs = clock.monotonicMs()
    const atMs = Math.max(nowMs, nextMs)
    nextMs = atMs + 1000 / BLOCKS_PER_SECOND
    if (atMs > nowMs) await clock.sleep(atMs - nowMs, { signal })
    const bytes = await http.bytes({
      method: 'GET',
      path: `/ipfs/${cid.toString()}`,
      query: { format: 'raw' },
      maxBytes: BLOCK_MAX_BYTES,
      signal,
    })
    const digest = bytes === undefined ? undefined : createHash('sha256').update(bytes).digest()
    if (bytes !== undefined && digest?.equals(cid.multihash.digest) === true) return bytes
    throw new ApiError('gateway-answer-invalid', `the gateway has no block ${cid.toString()}`, {
      fix: 'Devices of that release fetch chunks; nothing has to be done.',
    })
  }
}
