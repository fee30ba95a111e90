import { createCipheriv, createDecipheriv, hash } from 'node:crypto'
import * as dagCbor from '@ipld/dag-cbor'
import { CID } from 'multiformats/cid'
import * as Digest from 'multiformats/hashes/digest'
import { ModelSchema, VersionSchema } from '../api/index.ts'
import { concat, equalBytes, type Hex, toHex, utf8 } from '../base/index.ts'
import type { EvmAddress } from '../identity/index.ts'
import { IMAGE_MAX_BYTES, RELEASE_ROOT_MAX_BYTES } from './limits.ts'
import { firmwareError, type OpenedRelease, type ReleaseRoot } from './types.ts'

const FORMAT_VERSION = 1
export const RELEASE_KEY_BYTES = 32
const KEY_HASH_PURPOSE = utf8('ioex/release-key/1')
const NONCE_PURPOSE = utf8('ioex/release-head/1')
const NONCE_BYTES = 12
const TAG_BYTES = 16
const ADDRESS_BYTES = 20
const HASH_BYTES = 32
const DAG_CBOR_CODEC = 0x71
const SHA2_256 = 0x12
const FIELDS = [
  'imageBytes',
  'model',
  'sealedBytes',
  'sealedHead',
  'tree',
  'v',
  'vendor',
  'version',
]

/** What only holders of the release key may know: that an image is a known one would otherwise show. */
export interface ReleaseHead {
  readonly treeKey: Uint8Array
  readonly imageHash: Uint8Array
}

export function sha256(...parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(hash('sha256', concat(parts), 'buffer'))
}

/** `{v, vendor, model, version, imageBytes, sealedBytes, tree, sealedHead}` as dag-cbor, vendor as 20 bytes. */
export function encodeReleaseRoot(
  root: ReleaseRoot,
  head: ReleaseHead,
  releaseKey: Uint8Array,
): { readonly cid: CID; readonly bytes: Uint8Array } {
  const bytes = dagCbor.encode({
    ...root,
    v: FORMAT_VERSION,
    vendor: Uint8Array.fromHex(root.vendor.slice(2)),
    sealedHead: sealHead(head, releaseKey),
  })
  return { cid: CID.createV1(DAG_CBOR_CODEC, Digest.create(SHA2_256, sha256(bytes))), bytes }
}

/**
 * AES-256-GCM, `nonce || ciphertext || tag`. The nonce is a hash of key and content, so that even a key that is
 * used for a second packing never meets a nonce twice with other bytes.
 */
function sealHead(head: ReleaseHead, releaseKey: Uint8Array): Uint8Array {
  const plain = dagCbor.encode({ treeKey: head.treeKey, imageHash: head.imageHash })
  const nonce = sha256(NONCE_PURPOSE, releaseKey, plain).subarray(0, NONCE_BYTES)
  const cipher = createCipheriv('aes-256-gcm', releaseKey, nonce)
  return concat([nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag()])
}

function openHead(sealed: Uint8Array, releaseKey: Uint8Array): Uint8Array {
  const tagAt = sealed.byteLength - TAG_BYTES
  const nonce = sealed.subarray(0, NONCE_BYTES)
  const decipher = createDecipheriv('aes-256-gcm', releaseKey, nonce, { authTagLength: TAG_BYTES })
  decipher.setAuthTag(sealed.subarray(tagAt))
  return concat([decipher.update(sealed.subarray(NONCE_BYTES, tagAt)), decipher.final()])
}

/** For those without the key: seeds, gateways, devices before they have a wrap. Throws release-damaged. */
export function parseReleaseRoot(rootBytes: Uint8Array): ReleaseRoot {
  return parseFields(rootBytes).root
}

/**
 * Opens a release. The caller has checked that `rootBytes` match the CID that targets metadata names, or calls
 * `openTrustedRelease`, which does. Throws release-damaged or release-key-wrong.
 */
export function openRelease(rootBytes: Uint8Array, releaseKey: Uint8Array): OpenedRelease {
  const { root, sealedHead } = parseFields(rootBytes)
  if (releaseKey.byteLength !== RELEASE_KEY_BYTES) throw wrongKey('a release key has 32 bytes')
  let plain: Uint8Array
  try {
    plain = openHead(sealedHead, releaseKey)
  } catch (cause) {
    throw wrongKey('the key does not open this release', cause)
  }
  const head = decodeCbor(plain)
  const { treeKey, imageHash } = head
  if (!isBytes(treeKey, RELEASE_KEY_BYTES) || !isBytes(imageHash, HASH_BYTES)) {
    throw damaged('holds no tree key and image hash')
  }
  return { ...root, treeRef: { cid: root.tree, key: treeKey }, imageHash }
}

/** What targets metadata carries of the key, so that any wrap can be checked. */
export function releaseKeyHash(releaseKey: Uint8Array): Hex {
  return toHex(sha256(KEY_HASH_PURPOSE, releaseKey))
}

/** Is `bytes` the block that `root` names? */
export function isBlockOf(root: CID, bytes: Uint8Array): boolean {
  return root.multihash.code === SHA2_256 && equalBytes(root.multihash.digest, sha256(bytes))
}

/** CIDv1, dag-cbor, sha2-256: the only CIDs that release roots have. */
export function isReleaseCid(cid: CID): boolean {
  return cid.version === 1 && cid.code === DAG_CBOR_CODEC && cid.multihash.code === SHA2_256
}

function parseFields(bytes: Uint8Array): { root: ReleaseRoot; sealedHead: Uint8Array } {
  if (bytes.byteLength > RELEASE_ROOT_MAX_BYTES) throw damaged('is too large')
  const value = decodeCbor(bytes)
  if (Object.keys(value).sort().join() !== FIELDS.join()) throw damaged('has other fields')
  const { v, vendor, imageBytes, sealedBytes, sealedHead } = value
  if (v !== FORMAT_VERSION) throw damaged('has a format that this program does not know')
  if (!isBytes(vendor, ADDRESS_BYTES)) throw damaged('names no vendor')
  const model = ModelSchema.safeParse(value['model'])
  const version = VersionSchema.safeParse(value['version'])
  if (!model.success || !version.success) throw damaged('names no model or version')
  if (!isSize(imageBytes) || !isSize(sealedBytes)) throw damaged('claims impossible sizes')
  if (!(sealedHead instanceof Uint8Array) || sealedHead.byteLength <= NONCE_BYTES + TAG_BYTES) {
    throw damaged('has no sealed head')
  }
  const tree = CID.asCID(value['tree'])
  if (tree === null || !isReleaseCid(tree)) throw damaged('has no tree')
  const root = {
    vendor: toHex(vendor) as EvmAddress,
    model: model.data,
    version: version.data,
    imageBytes,
    sealedBytes,
    tree,
  }
  return { root, sealedHead }
}

function decodeCbor(bytes: Uint8Array): Record<string, unknown> {
  let value: unknown
  try {
    value = dagCbor.decode(bytes)
  } catch (cause) {
    throw damaged('is not dag-cbor', cause)
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw damaged('is no map')
  return value as Record<string, unknown>
}

function isBytes(value: unknown, length: number): value is Uint8Array {
  return value instanceof Uint8Array && value.byteLength === length
}

function isSize(value: unknown): value is number {
  return (
    Number.isSafeInteger(value) && (value as number) >= 0 && (value as number) <= IMAGE_MAX_BYTES
  )
}

export function damaged(what: string, cause?: unknown) {
  return firmwareError('release-damaged', `the release root ${what}`, {
    blame: 'peer',
    fix: 'Fetch it again from another peer; if all agree, ask the vendor.',
    ...(cause === undefined ? {} : { cause }),
  })
}

export function wrongKey(message: string, cause?: unknown) {
  return firmwareError('release-key-wrong', message, {
    blame: 'peer',
    fix: 'Ask the gateway for the wrap of this release again.',
    ...(cause === undefined ? {} : { cause }),
  })
}
