/**
 * Publishing with one's own keys: pack and seal into a CAR on this machine, send it, wrap the key for the
 * devices, sign the metadata. The gateway sees ciphertext and public metadata only. What breaks off is done
 * again by the same command; blocks that the gateway has cost nothing the second time.
 */
import { createReadStream } from 'node:fs'
import { mkdtemp, open, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { CarWriter } from '@ipld/car'
import {
  BlocksStoredSchema,
  type Http,
  type Release,
  type RolloutPlan,
  VendorSchema,
} from '@ioex/node/api'
import { MIB, type Clock } from '@ioex/node/base'
import { PROFILE_64K } from '@ioex/node/chunks'
import { Failure, type Say } from '@ioex/node/cli'
import {
  collectKnown,
  decodeKnownChunks,
  draftRelease,
  finishDraft,
  type KnownChunks,
  type MissingSignatures,
  missingSignatures,
  type PackedRelease,
  packRelease,
  releaseKeyHash,
  releasesOf,
  rolloutOfPlan,
  signDraft,
  type TufSigner,
} from '@ioex/node/firmware'
import type { EvmAddress } from '@ioex/node/identity'
import type { CID } from 'multiformats/cid'
import { writeDraft } from './draft-file.ts'
import { packDeltas } from './publish-deltas.ts'
import { publishSigned, UPLOAD_TIMEOUT_MS } from './publish-signed.ts'
import type { VendorHome, VendorSettings } from './vendor-home.ts'
import { wrapAll } from './wrapping.ts'

/** zstd's own default; the gateway packs managed releases with the same. */
const ZSTD_LEVEL = 3

interface Needs {
  readonly home: VendorHome
  readonly http: Http
  readonly settings: VendorSettings
  readonly say: Say
  readonly clock: Clock
  readonly signal: AbortSignal
}

export interface ImageSource {
  readonly file: string
  readonly bytes: number
  readonly model: string
  readonly version: string
  readonly notes: string
  readonly rollout?: RolloutPlan | undefined
  /** Keys that are here, and where the draft goes when they are not enough. */
  readonly signers: readonly TufSigner[]
  readonly draftFile: string
}

export type Sealed =
  | { readonly release: Release }
  | {
      readonly draft: string
      readonly signed: readonly string[]
      readonly missing: readonly MissingSignatures[]
    }

export async function publishSealed(needs: Needs, source: ImageSource): Promise<Sealed> {
  const { home, http, settings, say, clock, signal } = needs
  const vendorPath = `/v1/vendors/${settings.vendor}`
  const metadata = await home.metadata()
  if (metadata === undefined) {
    throw new Failure('metadata-missing', `there is no metadata in ${home.folder}`, {
      fix: 'Restore the folder from your copy.',
    })
  }
  const vendor = await http.json({ method: 'GET', path: vendorPath, signal }, VendorSchema)
  const folder = await mkdtemp(join(tmpdir(), 'ioex-publish-'))
  try {
    const { packed, car, known } = await pack(needs, source, folder)
    const root = packed.root.toString()
    await home.saveReleaseKey(root, packed.releaseKey)
    await sendCar(needs, `${vendorPath}/blocks`, root, car)
    const { model } = source
    const deltas = await packDeltas(needs, { packed, car, model, metadata, folder })
    for (const delta of deltas) {
      await sendCar(needs, `${vendorPath}/blocks`, delta.target.deltaRoot.toString(), delta.car)
    }
    say.note('Wrapping the key and signing …')
    const wraps = await wrapAll(needs, packed.releaseKey, {
      path: `${vendorPath}/recipients`,
      query: { model: source.model },
    })
    const planned =
      source.rollout === undefined
        ? undefined
        : rolloutOfPlan(source.rollout, {
            root: packed.root,
            orderKey: vendor.onlineTufKey,
            earlier: releasesOf(metadata, source.model),
            fleet: wraps.flatMap(({ devices }) => devices as EvmAddress[]),
            nowMs: clock.nowMs(),
          })
    const draft = draftRelease(
      metadata,
      {
        model,
        version: source.version,
        root: packed.root,
        rootBytes: packed.rootBytes.byteLength,
        releaseKeyHash: releaseKeyHash(packed.releaseKey),
        deltas: deltas.map(({ target }) => target),
        announceSigner: vendor.announceSigner,
        ...(planned === undefined ? {} : { rollout: planned.policy }),
      },
      { nowMs: clock.nowMs() },
    )
    if (planned !== undefined && source.rollout !== undefined) {
      const { approval } = source.rollout
      await home.saveRolloutStart(root, {
        witnesses: planned.witnesses.map((list) => [...list]),
        approval,
      })
    }
    const publishes = { root, model, notes: source.notes }
    const signed = signDraft(draft, source.signers)
    const missing = missingSignatures(signed.draft)
    if (missing.length > 0) {
      await writeDraft(source.draftFile, { ...signed.draft, publishes })
      return { draft: source.draftFile, signed: signed.signed, missing }
    }
    const next = finishDraft(signed.draft)
    const release = await publishSigned(
      needs,
      { ...publishes, base: metadata, metadata: next },
      wraps,
    )
    await home.saveKnownChunks(model, known.encode())
    return { release }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

async function pack(
  { home, settings, say, signal }: Needs,
  source: ImageSource,
  folder: string,
): Promise<{ packed: PackedRelease; car: string; known: KnownChunks }> {
  const earlier = await home.knownChunks(source.model)
  const known = earlier === undefined ? undefined : decodeKnownChunks(earlier)
  const progress = say.progress({ label: 'Packing', total: source.bytes, unit: 'bytes' })
  const path = join(folder, 'release.car')
  const file = await open(path, 'wx+', 0o600)
  // A CAR must name a root, and ours is known last; the gateway is told it beside the CAR.
  const { writer, out } = CarWriter.create([])
  const nodes = new Map<string, Uint8Array>()
  const writing = (async () => {
    for await (const part of out) await file.write(part)
  })()
  try {
    const packed = await packRelease(
      createReadStream(source.file, { highWaterMark: MIB }),
      async ({ cid, bytes }) => {
        // The recipe is read again for the list of known chunks; chunks themselves are not kept.
        if (cid.code === 0x71) nodes.set(cid.toString(), bytes)
        await writer.put({ cid, bytes })
      },
      {
        vendor: settings.vendor as EvmAddress,
        model: source.model,
        version: source.version,
        contentSecret: await home.secret('content-secret'),
        zstdLevel: ZSTD_LEVEL,
        profile: PROFILE_64K,
        signal,
        onProgress: (done) => progress.update({ done }),
        ...(known === undefined ? {} : { known }),
      },
    )
    await writer.close()
    await writing
    const get = (cid: CID) => {
      const bytes = nodes.get(cid.toString())
      return bytes === undefined
        ? Promise.reject(new Error(`${cid.toString()} is no node of this release`))
        : Promise.resolve(bytes)
    }
    return { packed, car: path, known: await collectKnown([packed.tree], get) }
  } finally {
    progress.stop()
    await file.close()
  }
}

async function sendCar(
  { http, say, signal }: Needs,
  path: string,
  root: string,
  car: string,
): Promise<void> {
  const progress = say.progress({ label: 'Sending', unit: 'bytes' })
  let done = 0
  const counted = new TransformStream<Uint8Array, Uint8Array>({
    transform(part, controller) {
      done += part.byteLength
      progress.update({ done })
      controller.enqueue(part)
    },
  })
  const bytes = Readable.toWeb(createReadStream(car)) as ReadableStream<Uint8Array>
  try {
    await http.json(
      {
        method: 'POST',
        path,
        query: { root },
        body: { stream: bytes.pipeThrough(counted), type: 'application/vnd.ipld.car' },
        timeoutMs: UPLOAD_TIMEOUT_MS,
        signal,
      },
      BlocksStoredSchema,
    )
  } finally {
    progress.stop()
  }
}
