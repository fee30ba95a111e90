import { isDeepStrictEqual } from 'node:util'
import { signedAt } from './signing-time.ts'
import {
  expiryTime,
  isSignedFor,
  type JsonObject,
  modelOfLine,
  parseRoot,
  parseSnapshot,
  parseTargets,
  parseTimestamp,
  SPEC_VERSION,
  signFile,
} from './tuf-file.ts'
import type { TufSigner } from './tuf-keys.ts'
import { sha256 } from './release-root.ts'
import { firmwareError } from './types.ts'
import {
  checked,
  DEFAULT_LIFETIMES,
  type OfflineMetadata,
  type SigningTime,
} from './vendor-metadata.ts'

/** All that a TUF client asks a vendor's repository for, without the older roots. */
export interface VendorMetadata extends OfflineMetadata {
  readonly snapshot: Uint8Array
  readonly timestamp: Uint8Array
}

/** One file below the metadata URL. */
export interface MetadataFile {
  readonly name: string
  readonly bytes: Uint8Array
  readonly version: number
  readonly expiresMs: number
}

/**
 * Signs a new timestamp, and a new snapshot where what it names changed, its key changed, or half of its life is
 * over. To be called after every change and often enough that the timestamp never expires.
 */
export function signOnline(
  current: OfflineMetadata & Partial<VendorMetadata>,
  signers: readonly TufSigner[],
  time: SigningTime,
): VendorMetadata {
  const lifetimes = time.lifetimes ?? DEFAULT_LIFETIMES
  const snapshot = nextSnapshot(checked(current), signers, time)
  const version = parseSnapshot(snapshot).signed.version
  const last =
    current.timestamp === undefined ? 0 : parseTimestamp(current.timestamp).signed.version
  const timestamp = signFile(
    {
      _type: 'timestamp',
      spec_version: SPEC_VERSION,
      version: last + 1,
      expires: expiryTime(time.nowMs + lifetimes.timestampMs),
      ...signedAt(time.nowMs),
      meta: { 'snapshot.json': metaOf(version, snapshot) },
    },
    signers,
  )
  const root = parseRoot(current.root)
  const signed =
    isSignedFor(root, 'snapshot', parseSnapshot(snapshot)) &&
    isSignedFor(root, 'timestamp', parseTimestamp(timestamp))
  if (!signed) {
    throw firmwareError(
      'metadata-change-invalid',
      'the root names other keys for snapshot and timestamp',
      {
        blame: 'caller',
        fix: 'Sign with the online key that the root names, or rotate the root.',
      },
    )
  }
  return { ...current, snapshot, timestamp }
}

function nextSnapshot(
  current: OfflineMetadata & Partial<VendorMetadata>,
  signers: readonly TufSigner[],
  time: SigningTime,
): Uint8Array {
  const { snapshotMs } = time.lifetimes ?? DEFAULT_LIFETIMES
  const targets = parseTargets(current.targets)
  const meta: Record<string, JsonObject> = {
    'targets.json': metaOf(targets.signed.version, current.targets),
  }
  for (const [role, bytes] of Object.entries(current.lines)) {
    meta[`${role}.json`] = metaOf(parseTargets(bytes).signed.version, bytes)
  }
  const old = current.snapshot === undefined ? undefined : parseSnapshot(current.snapshot)
  if (old !== undefined && current.snapshot !== undefined) {
    const same = isDeepStrictEqual(old.signed.toJSON()['meta'], meta)
    const fresh = Date.parse(old.signed.expires) > time.nowMs + snapshotMs / 2
    if (same && fresh && isSignedFor(parseRoot(current.root), 'snapshot', old))
      return current.snapshot
  }
  return signFile(
    {
      _type: 'snapshot',
      spec_version: SPEC_VERSION,
      version: (old?.signed.version ?? 0) + 1,
      expires: expiryTime(time.nowMs + snapshotMs),
      meta,
    },
    signers,
  )
}

function metaOf(version: number, bytes: Uint8Array): JsonObject {
  return { version, length: bytes.byteLength, hashes: { sha256: sha256(bytes).toHex() } }
}

/** The files to serve. Keep what was served before: devices climb from root to root. */
export function metadataFiles(metadata: VendorMetadata): readonly MetadataFile[] {
  const { root, targets, snapshot, timestamp, lines } = metadata
  const file = (
    name: string,
    parsed: { signed: { version: number; expires: string } },
    bytes: Uint8Array,
  ) => {
    const { version, expires } = parsed.signed
    return { name, version, bytes, expiresMs: Date.parse(expires) }
  }
  const versioned = (role: string, parsed: Parameters<typeof file>[1], bytes: Uint8Array) =>
    file(`${parsed.signed.version}.${encodeURIComponent(role)}.json`, parsed, bytes)
  return [
    versioned('root', parseRoot(root), root),
    versioned('targets', parseTargets(targets), targets),
    ...Object.entries(lines).map(([role, bytes]) => versioned(role, parseTargets(bytes), bytes)),
    versioned('snapshot', parseSnapshot(snapshot), snapshot),
    // Last, so that whoever stores them one by one never has a timestamp that names what is not there.
    file('timestamp.json', parseTimestamp(timestamp), timestamp),
  ]
}

/** Picks the newest version of each file out of a repository's files. Undefined when one is missing. */
export function newestMetadata(
  files: Iterable<{ readonly name: string; readonly bytes: Uint8Array }>,
): VendorMetadata | undefined {
  const newest = new Map<string, { readonly version: number; readonly bytes: Uint8Array }>()
  for (const { name, bytes } of files) {
    const [, digits, encoded] = /^(?:([0-9]+)[.])?(.+)[.]json$/.exec(name) ?? []
    if (encoded === undefined) continue
    const role = decodeURIComponent(encoded)
    const version = Number(digits ?? 0)
    const best = newest.get(role)
    if (best === undefined || best.version <= version) newest.set(role, { version, bytes })
  }
  const [root, targets, snapshot, timestamp] = ['root', 'targets', 'snapshot', 'timestamp'].map(
    (role) => newest.get(role)?.bytes,
  )
  if (root === undefined || targets === undefined) return undefined
  if (snapshot === undefined || timestamp === undefined) return undefined
  const lines = [...newest]
    .filter(([role]) => modelOfLine(role) !== undefined)
    .map(([role, { bytes }]) => [role, bytes] as const)
  return { root, targets, snapshot, timestamp, lines: Object.fromEntries(lines) }
}
