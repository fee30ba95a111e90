import type { TargetFile } from '@tufjs/models'
import { CID } from 'multiformats/cid'
import { z } from 'zod'
import { ModelSchema, VersionSchema } from '../api/index.ts'
import type { Hex } from '../base/index.ts'
import { fromHex } from '../base/index.ts'
import type { EvmAddress } from '../identity/index.ts'
import { RELEASE_ROOT_MAX_BYTES } from './limits.ts'
import {
  damaged,
  isBlockOf,
  isReleaseCid,
  openRelease,
  releaseKeyHash,
  wrongKey,
} from './release-root.ts'
import { RolloutPolicySchema } from './rollout-policy.ts'
import type { JsonObject } from './tuf-file.ts'
import type { OpenedRelease, ReleaseTarget } from './types.ts'

/** Patch sets of one release: from as many earlier ones. */
const MAX_DELTAS = 16

const CidText = z
  .string()
  .max(120)
  .transform(parseCid)
  .pipe(z.custom<CID>((cid) => cid !== undefined))
const ReleaseCid = CidText.refine(isReleaseCid)
const HexText = (bytes: number) =>
  z.string().refine((text) => fromHex(text)?.byteLength === bytes && text === text.toLowerCase())

/** Fields that a later version adds are left alone. */
const CustomSchema = z.object({
  releaseKeyHash: HexText(32).transform((text) => text as Hex),
  root: ReleaseCid,
  model: ModelSchema,
  version: VersionSchema,
  sequence: z.int().min(1),
  deltas: z
    .array(z.object({ baseRoot: ReleaseCid, deltaRoot: ReleaseCid, bytes: z.int().min(0) }))
    .max(MAX_DELTAS),
  announceSigner: HexText(20).transform((text) => text as EvmAddress),
  rollout: RolloutPolicySchema.optional(),
})

/** The TUF target path of a release. */
export function releasePath(model: string, version: string): string {
  return `${model}/${version}`
}

/**
 * Where a stock TUF client asks for the root block, below the targets URL: consistent snapshots put the hash
 * before the last part of the path.
 */
export function consistentTargetPath(
  target: Pick<ReleaseTarget, 'model' | 'version' | 'root'>,
): string {
  return releasePath(target.model, `${target.root.multihash.digest.toHex()}.${target.version}`)
}

/** The CID of the release root that a path below the targets URL asks for; undefined when it is none. */
export function rootOfTargetPath(path: string): string | undefined {
  const digits = /^[^/]+\/([0-9a-f]{64})\.[^/]+$/.exec(path)?.[1]
  if (digits === undefined) return undefined
  // CIDv1, dag-cbor, sha2-256, 32 bytes.
  return CID.decode(Uint8Array.fromHex(`01711220${digits}`)).toString()
}

export function toTufTarget(target: ReleaseTarget): JsonObject {
  return {
    length: target.rootBytes,
    hashes: { sha256: target.root.multihash.digest.toHex() },
    custom: {
      releaseKeyHash: target.releaseKeyHash,
      root: target.root.toString(),
      model: target.model,
      version: target.version,
      sequence: target.sequence,
      deltas: target.deltas.map((delta) => ({
        baseRoot: delta.baseRoot.toString(),
        deltaRoot: delta.deltaRoot.toString(),
        bytes: delta.bytes,
      })),
      announceSigner: target.announceSigner,
      ...(target.rollout === undefined ? {} : { rollout: target.rollout }),
    },
  }
}

/** Undefined when it is no release of ours: path, hash, length and `custom` must agree with each other. */
export function fromTufTarget(file: TargetFile): ReleaseTarget | undefined {
  const custom = CustomSchema.safeParse(file.custom)
  if (!custom.success) return undefined
  const { root, model, version } = custom.data
  const agrees =
    file.path === releasePath(model, version) &&
    file.hashes['sha256'] === root.multihash.digest.toHex() &&
    Number.isSafeInteger(file.length) &&
    file.length <= RELEASE_ROOT_MAX_BYTES
  return agrees ? { ...custom.data, rootBytes: file.length } : undefined
}

/**
 * Opens the release that trusted metadata names: the bytes are those of its CID, the key is the one it names, and
 * model and version are the same. Throws release-damaged or release-key-wrong.
 */
export function openTrustedRelease(
  target: ReleaseTarget,
  rootBytes: Uint8Array,
  releaseKey: Uint8Array,
): OpenedRelease {
  if (rootBytes.byteLength !== target.rootBytes) throw damaged('has another length')
  if (!isBlockOf(target.root, rootBytes)) throw damaged('has another hash')
  if (releaseKeyHash(releaseKey) !== target.releaseKeyHash) {
    throw wrongKey('the key is not the one that the vendor named')
  }
  const release = openRelease(rootBytes, releaseKey)
  if (release.model === target.model && release.version === target.version) return release
  throw damaged('is of another model or version than the vendor said')
}

function parseCid(text: string): CID | undefined {
  try {
    return CID.parse(text)
  } catch (thrown) {
    if (thrown instanceof Error) return undefined
    throw thrown
  }
}
