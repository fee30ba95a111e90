import * as dagCbor from '@ipld/dag-cbor'
import { CID } from 'multiformats/cid'
import * as Digest from 'multiformats/hashes/digest'
import { ModelSchema, VersionSchema } from '../api/index.ts'
import { toHex } from '../base/index.ts'
import type { EvmAddress } from '../identity/index.ts'
import {
  RELEASE_FILE_HEAD_MAX_BYTES,
  RELEASE_FILE_MAX_WRAPS,
  ROOT_MAX_BYTES,
  ROOT_ROTATIONS_MAX,
  SNAPSHOT_MAX_BYTES,
  TARGETS_MAX_BYTES,
  TIMESTAMP_MAX_BYTES,
} from './limits.ts'
import { isReleaseCid, sha256 } from './release-root.ts'
import { lineRole, parseSnapshot, parseTimestamp } from './tuf-file.ts'
import { firmwareError } from './types.ts'

const FORMAT_VERSION = 1
const DAG_CBOR_CODEC = 0x71
const RAW_CODEC = 0x55
const SHA2_256 = 0x12
const ADDRESS_BYTES = 20
const METADATA_NAME_MAX = 200
/** All roots, and timestamp, snapshot, targets and a line beside them. */
const METADATA_MAX_FILES = ROOT_ROTATIONS_MAX + 8

interface Block {
  readonly cid: CID
  readonly bytes: Uint8Array
}

/** The first block of a release in one file: where in it everything else is. Nobody has signed it. */
export interface ReleaseFileHead {
  readonly vendor: EvmAddress
  readonly model: string
  readonly version: string
  /** The release root. */
  readonly root: CID
  /** Files of the vendor's TUF repository by name, each a raw block. */
  readonly metadata: ReadonlyMap<string, CID>
  /** The release key for each cohort, each a raw block with an age file. */
  readonly wraps: readonly CID[]
}

export interface ReleaseFileParts {
  readonly vendor: EvmAddress
  readonly model: string
  readonly version: string
  readonly root: CID
  readonly metadata: ReadonlyMap<string, Uint8Array>
  readonly wraps: readonly Uint8Array[]
}

/**
 * The blocks to write before those of the release itself; the first one is the root of the CAR. Throws
 * `release-options-invalid`.
 */
export function releaseFileBlocks(parts: ReleaseFileParts): readonly [Block, ...Block[]] {
  const { vendor, model, version, root } = parts
  if (parts.wraps.length > RELEASE_FILE_MAX_WRAPS) {
    throw firmwareError(
      'release-options-invalid',
      `one file holds the keys of at most ${RELEASE_FILE_MAX_WRAPS} cohorts`,
      { blame: 'caller', fix: 'Make the file for fewer devices.' },
    )
  }
  const metadata = Array.from(parts.metadata, ([name, bytes]) => [name, rawBlock(bytes)] as const)
  const wraps = parts.wraps.map(rawBlock)
  const bytes = dagCbor.encode({
    v: FORMAT_VERSION,
    vendor: Uint8Array.fromHex(vendor.slice(2)),
    model,
    version,
    root,
    metadata: Object.fromEntries(metadata.map(([name, { cid }]) => [name, cid])),
    wraps: wraps.map(({ cid }) => cid),
  })
  const head = { cid: cidOf(DAG_CBOR_CODEC, bytes), bytes }
  return [head, ...metadata.map(([, block]) => block), ...wraps]
}

/** Throws `release-file-damaged`. */
export function parseReleaseFileHead(bytes: Uint8Array): ReleaseFileHead {
  if (bytes.byteLength > RELEASE_FILE_HEAD_MAX_BYTES) throw damaged('is too large')
  const value = decode(bytes)
  if (value['v'] !== FORMAT_VERSION) {
    throw damaged('has a format that this program does not know')
  }
  const { vendor } = value
  if (!(vendor instanceof Uint8Array) || vendor.byteLength !== ADDRESS_BYTES) {
    throw damaged('names no vendor')
  }
  const model = ModelSchema.safeParse(value['model'])
  const version = VersionSchema.safeParse(value['version'])
  if (!model.success || !version.success) throw damaged('names no model or version')
  const root = CID.asCID(value['root'])
  if (root === null || !isReleaseCid(root)) throw damaged('names no release')
  const files = isMap(value['metadata']) ? Object.entries(value['metadata']) : []
  if (files.length === 0 || files.length > METADATA_MAX_FILES) throw damaged('names no metadata')
  const metadata = new Map<string, CID>()
  for (const [name, link] of files) {
    if (name.length > METADATA_NAME_MAX) throw damaged('names metadata that cannot be')
    metadata.set(name, rawCid(link))
  }
  const links: unknown = value['wraps']
  if (!Array.isArray(links) || links.length > RELEASE_FILE_MAX_WRAPS) {
    throw damaged('names no wrapped keys')
  }
  return {
    vendor: toHex(vendor) as EvmAddress,
    model: model.data,
    version: version.data,
    root,
    metadata,
    wraps: links.map(rawCid),
  }
}

/**
 * What a device of that model, enrolled at any time, asks a repository for. `fetchMetadata` as that of
 * TrustedReleases. Nothing is verified here but that it can be read. Throws `metadata-damaged`.
 */
export async function collectMetadata(
  model: string,
  fetchMetadata: (name: string, maxBytes: number) => Promise<Uint8Array | undefined>,
): Promise<ReadonlyMap<string, Uint8Array>> {
  const files = new Map<string, Uint8Array>()
  const take = async (name: string, maxBytes: number): Promise<Uint8Array> => {
    const bytes = await fetchMetadata(name, maxBytes)
    if (bytes === undefined) {
      throw firmwareError('metadata-damaged', `the repository has no ${name}`, {
        blame: 'peer',
        fix: 'Try again; if it stays so, the vendor has to publish anew.',
      })
    }
    files.set(name, bytes)
    return bytes
  }
  for (let version = 1; version <= ROOT_ROTATIONS_MAX; version++) {
    const name = `${version}.root.json`
    const bytes = await fetchMetadata(name, ROOT_MAX_BYTES)
    if (bytes === undefined) break
    files.set(name, bytes)
  }
  const timestamp = parseTimestamp(await take('timestamp.json', TIMESTAMP_MAX_BYTES))
  const { version } = timestamp.signed.snapshotMeta
  const snapshot = parseSnapshot(await take(`${version}.snapshot.json`, SNAPSHOT_MAX_BYTES))
  for (const role of ['targets', lineRole(model)]) {
    const meta = snapshot.signed.meta[`${role}.json`]
    if (meta === undefined) continue
    await take(`${meta.version}.${encodeURIComponent(role)}.json`, TARGETS_MAX_BYTES)
  }
  return files
}

function rawBlock(bytes: Uint8Array): Block {
  return { cid: cidOf(RAW_CODEC, bytes), bytes }
}

function cidOf(codec: number, bytes: Uint8Array): CID {
  return CID.createV1(codec, Digest.create(SHA2_256, sha256(bytes)))
}

function rawCid(link: unknown): CID {
  const cid = CID.asCID(link)
  if (cid?.version === 1 && cid.code === RAW_CODEC && cid.multihash.code === SHA2_256) return cid
  throw damaged('links to something that is no block of such a file')
}

function decode(bytes: Uint8Array): Record<string, unknown> {
  let value: unknown
  try {
    value = dagCbor.decode(bytes)
  } catch (cause) {
    throw damaged('is not dag-cbor', cause)
  }
  if (!isMap(value)) throw damaged('is no map')
  return value
}

function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function damaged(what: string, cause?: unknown) {
  return firmwareError('release-file-damaged', `the first block of the file ${what}`, {
    blame: 'caller',
    fix: 'Make the file again: ioex firmware export --release ROOT --out FILE.car',
    ...(cause === undefined ? {} : { cause }),
  })
}
