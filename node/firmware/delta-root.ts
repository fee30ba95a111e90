import { createCipheriv, createDecipheriv, hkdfSync } from 'node:crypto'
import * as dagCbor from '@ipld/dag-cbor'
import { CID } from 'multiformats/cid'
import * as Digest from 'multiformats/hashes/digest'
import { concat, utf8 } from '../base/index.ts'
import {
  type DeltaOptions,
  type GetBlock,
  type PutBlock,
  sealDelta,
  type TreeRef,
  treeBlocks,
} from '../chunks/index.ts'
import { DELTA_MAX_LISTS, DELTA_MAX_SHARE, DELTA_ROOT_MAX_BYTES } from './limits.ts'
import { damaged, isReleaseCid, sha256, wrongKey } from './release-root.ts'
import { firmwareError, type OpenedRelease } from './types.ts'

const FORMAT_VERSION = 1
const KEY_BYTES = 32
const NONCE_BYTES = 12
const TAG_BYTES = 16
const HASH_BYTES = 32
const DAG_CBOR_CODEC = 0x71
const SHA2_256 = 0x12
const KEY_PURPOSE = utf8('ioex/delta/1')

/** One of the two releases between which a delta leads. */
export interface DeltaEnd {
  readonly root: CID
  readonly release: Pick<OpenedRelease, 'treeRef' | 'imageBytes'>
}

export interface PackDeltaOptions extends Omit<DeltaOptions, 'secret'> {
  /** As for the releases. */
  readonly contentSecret: Uint8Array
  /** Of the newer release. */
  readonly releaseKey: Uint8Array
}

export interface PackedDelta {
  readonly root: CID
  /** All blocks of the delta, the root among them. */
  readonly deltaBytes: number
  /**
   * What a device fetches that has the base and none of its blocks: the delta, the recipe of the new release,
   * its root, and the chunks for which there is no patch.
   */
  readonly expectedBytes: number
  readonly patches: number
}

/**
 * Makes the patches from one release to the next and the **delta root**, a dag-cbor block `{v, base, release,
 * lists, sealedHead}` whose links are the delta's own blocks only: `base` and `release` are digests, so that
 * whoever pins the delta pins neither image. `sealedHead` holds the keys of the lists and opens with a key that
 * is derived from the release key. Undefined when the delta saves too little to be worth its keep; what was put
 * by then is of no use. Throws what `sealDelta` throws.
 */
export async function packDelta(
  ends: { readonly base: DeltaEnd; readonly next: DeltaEnd },
  blocks: { readonly get: GetBlock; readonly put: PutBlock },
  options: PackDeltaOptions,
): Promise<PackedDelta | undefined> {
  const { base, next } = ends
  const { contentSecret, releaseKey, ...rest } = options
  const sealed = await sealDelta(
    { base: base.release.treeRef, next: next.release.treeRef },
    blocks,
    { ...rest, secret: contentSecret },
  )
  const isWorthIt =
    sealed.patches > 0 &&
    sealed.lists.length <= DELTA_MAX_LISTS &&
    sealed.deltaBytes <= DELTA_MAX_SHARE * sealed.insteadOfBytes
  if (!isWorthIt) return undefined
  const { cid, bytes } = encodeDeltaRoot(
    { base: base.root, release: next.root },
    sealed.lists,
    releaseKey,
  )
  await blocks.put({ cid, bytes })
  const deltaBytes = sealed.deltaBytes + bytes.byteLength
  const recipeBytes = await recipeBytesOf(next, blocks.get, options)
  return {
    root: cid,
    deltaBytes,
    expectedBytes: deltaBytes + recipeBytes + sealed.plainBytes,
    patches: sealed.patches,
  }
}

/** The nodes of the recipe and the release root. */
async function recipeBytesOf(
  { root, release }: DeltaEnd,
  get: GetBlock,
  options: PackDeltaOptions,
): Promise<number> {
  const abort = options.signal === undefined ? {} : { signal: options.signal }
  let bytes = (await get(root, abort)).byteLength
  const seen = new Set<string>()
  for await (const block of treeBlocks(release.treeRef, get, abort)) {
    if (block.kind !== 'node' || seen.has(block.cid.toString())) continue
    seen.add(block.cid.toString())
    bytes += block.sealedBytes
  }
  return bytes
}

function encodeDeltaRoot(
  ends: { readonly base: CID; readonly release: CID },
  lists: readonly TreeRef[],
  releaseKey: Uint8Array,
): { readonly cid: CID; readonly bytes: Uint8Array } {
  const bytes = dagCbor.encode({
    v: FORMAT_VERSION,
    base: ends.base.multihash.digest,
    release: ends.release.multihash.digest,
    lists: lists.map(({ cid }) => cid),
    sealedHead: sealHead(concat(lists.map(({ key }) => key)), releaseKey),
  })
  return { cid: CID.createV1(DAG_CBOR_CODEC, Digest.create(SHA2_256, sha256(bytes))), bytes }
}

/** AES-256-GCM as of a release's head: the nonce is a hash of key and content, so that none is used twice. */
function sealHead(keys: Uint8Array, releaseKey: Uint8Array): Uint8Array {
  const key = headKey(releaseKey)
  const nonce = sha256(KEY_PURPOSE, key, keys).subarray(0, NONCE_BYTES)
  const cipher = createCipheriv('aes-256-gcm', key, nonce, { authTagLength: TAG_BYTES })
  return concat([nonce, cipher.update(keys), cipher.final(), cipher.getAuthTag()])
}

function headKey(releaseKey: Uint8Array): Uint8Array {
  return new Uint8Array(hkdfSync('sha256', releaseKey, new Uint8Array(), KEY_PURPOSE, KEY_BYTES))
}

/** For whoever has no key: does this block name exactly these releases? */
export function isDeltaBetween(
  bytes: Uint8Array,
  ends: { readonly base: CID; readonly release: CID },
): boolean {
  if (bytes.byteLength > DELTA_ROOT_MAX_BYTES) return false
  const { v, base, release } = decoded(bytes)
  return v === FORMAT_VERSION && isDigestOf(base, ends.base) && isDigestOf(release, ends.release)
}

/**
 * The lists of a delta, for `openPatches`. The caller has checked the bytes against the CID that targets metadata
 * names. Throws release-damaged when it leads between other releases or is none, and release-key-wrong.
 */
export function openDeltaRoot(
  bytes: Uint8Array,
  ends: { readonly base: CID; readonly release: CID },
  releaseKey: Uint8Array,
): readonly TreeRef[] {
  if (bytes.byteLength > DELTA_ROOT_MAX_BYTES) throw damaged('is too large for a delta')
  const { v, base, release, lists, sealedHead } = decoded(bytes)
  if (v !== FORMAT_VERSION || !Array.isArray(lists) || !(sealedHead instanceof Uint8Array)) {
    throw damaged('is no delta root')
  }
  if (!isDigestOf(base, ends.base) || !isDigestOf(release, ends.release)) {
    throw damaged('leads between other releases')
  }
  if (lists.length === 0 || lists.length > DELTA_MAX_LISTS) throw damaged('has impossible lists')
  const keys = openHead(sealedHead, releaseKey)
  if (keys.byteLength !== lists.length * KEY_BYTES) throw damaged('has keys for other lists')
  return lists.map((value, index) => {
    const cid = CID.asCID(value)
    if (cid === null || !isReleaseCid(cid)) throw damaged('links to what is no list')
    return { cid, key: keys.slice(index * KEY_BYTES, (index + 1) * KEY_BYTES) }
  })
}

function openHead(sealed: Uint8Array, releaseKey: Uint8Array): Uint8Array {
  const tagAt = sealed.byteLength - TAG_BYTES
  if (tagAt < NONCE_BYTES) throw damaged('has no head')
  try {
    const nonce = sealed.subarray(0, NONCE_BYTES)
    const decipher = createDecipheriv('aes-256-gcm', headKey(releaseKey), nonce, {
      authTagLength: TAG_BYTES,
    })
    decipher.setAuthTag(sealed.subarray(tagAt))
    return concat([decipher.update(sealed.subarray(NONCE_BYTES, tagAt)), decipher.final()])
  } catch (cause) {
    throw wrongKey('the key does not open this delta', cause)
  }
}

function isDigestOf(value: unknown, cid: CID): boolean {
  return (
    value instanceof Uint8Array &&
    value.byteLength === HASH_BYTES &&
    Buffer.from(value).equals(cid.multihash.digest)
  )
}

function decoded(bytes: Uint8Array): Record<string, unknown> {
  let value: unknown
  try {
    value = dagCbor.decode(bytes)
  } catch (cause) {
    throw firmwareError('release-damaged', 'a delta root is not dag-cbor', {
      blame: 'peer',
      fix: 'Fetch the release without it.',
      cause,
    })
  }
  if (typeof value === 'object' && value !== null) return value as Record<string, unknown>
  throw damaged('is no delta root')
}
