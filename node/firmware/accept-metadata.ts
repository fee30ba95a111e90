import type { Metadata, Root, Targets } from '@tufjs/models'
import { ModelSchema } from '../api/index.ts'
import { accepted, equalBytes, IoexError, type Result, refused } from '../base/index.ts'
import { LINE_MAX_RELEASES, LINES_MAX } from './limits.ts'
import { fromTufTarget } from './release-target.ts'
import {
  isSignedFor,
  type JsonObject,
  linePattern,
  modelOfLine,
  parseRoot,
  parseTargets,
} from './tuf-file.ts'
import { type TufPublicKey, tufPublicKey } from './tuf-keys.ts'
import type { ReleaseTarget } from './types.ts'
import { lastSequence, type OfflineMetadata } from './vendor-metadata.ts'

/** What a vendor sends: the files that changed. */
export interface UploadedMetadata {
  readonly root?: Uint8Array
  readonly targets?: Uint8Array
  /** By role name, see `lineRole`. */
  readonly lines?: Readonly<Record<string, Uint8Array>>
}

export type MetadataRefusal =
  /** Not TUF metadata, too large, or keys that stock clients cannot use. */
  | 'metadata-damaged'
  | 'signatures-missing'
  /** The version is not the next one. */
  | 'version-not-next'
  | 'metadata-expired'
  /** Snapshot and timestamp are not left to the gateway's key, or snapshots are not consistent. */
  | 'online-key-missing'
  /** A role that is not `line-<model>` with the one path `<model>/*`. */
  | 'delegation-unexpected'
  /** A line that was there, or is delegated, has no file. */
  | 'line-missing'
  /** A target that is no release, or whose sequence or content may not be as it is. */
  | 'release-invalid'

export interface AcceptedMetadata {
  readonly metadata: OfflineMetadata
  readonly added: readonly ReleaseTarget[]
  /** Taken back by the vendor. The oldest of a full line, which `addRelease` lets go, are not among them. */
  readonly removed: readonly ReleaseTarget[]
}

/**
 * For the gateway, before it signs snapshot and timestamp over what a vendor sent: everything that a device would
 * check is checked here too, and the rules of this product. Without `current` it is the vendor's first upload.
 */
export function acceptVendorMetadata(
  current: OfflineMetadata | undefined,
  uploaded: UploadedMetadata,
  options: { readonly nowMs: number; readonly onlineKey: TufPublicKey },
): Result<AcceptedMetadata, MetadataRefusal> {
  try {
    const rootBytes = uploaded.root ?? current?.root
    const targetsBytes = uploaded.targets ?? current?.targets
    if (rootBytes === undefined || targetsBytes === undefined) throw new Refused('metadata-damaged')
    const root = acceptRoot(current?.root, rootBytes, options)
    const targets = acceptNext(current?.targets, targetsBytes, root, 'targets', options.nowMs)
    if (Object.keys(targets.signed.targets).length > 0) throw new Refused('release-invalid')
    const lines = { ...current?.lines, ...uploaded.lines }
    const roles = acceptDelegations(targets)
    for (const role of Object.keys(lines)) if (!roles.has(role)) throw new Refused('line-missing')
    const added: ReleaseTarget[] = []
    const removed: ReleaseTarget[] = []
    for (const role of roles) {
      const bytes = Object.hasOwn(lines, role) ? lines[role] : undefined
      if (bytes === undefined) throw new Refused('line-missing')
      const before = current?.lines[role]
      const line = acceptNext(before, bytes, targets, role, options.nowMs)
      const change = acceptReleases(
        before === undefined ? undefined : parseTargets(before),
        line,
        role,
      )
      added.push(...change.added)
      removed.push(...change.removed)
    }
    return accepted({ metadata: { root: rootBytes, targets: targetsBytes, lines }, added, removed })
  } catch (thrown) {
    if (thrown instanceof Refused) return refused(thrown.reason)
    if (thrown instanceof IoexError && thrown.code === 'metadata-damaged')
      return refused('metadata-damaged')
    throw thrown
  }
}

class Refused extends Error {
  readonly reason: MetadataRefusal
  constructor(reason: MetadataRefusal) {
    super(reason)
    this.reason = reason
  }
}

function acceptRoot(
  before: Uint8Array | undefined,
  bytes: Uint8Array,
  options: { readonly nowMs: number; readonly onlineKey: TufPublicKey },
): Metadata<Root> {
  const root = parseRoot(bytes)
  if (!isSignedFor(root, 'root', root)) throw new Refused('signatures-missing')
  if (before !== undefined && !equalBytes(before, bytes)) {
    const old = parseRoot(before)
    if (!isSignedFor(old, 'root', root)) throw new Refused('signatures-missing')
    if (root.signed.version !== old.signed.version + 1) throw new Refused('version-not-next')
  }
  refuseExpired(root, options.nowMs)
  refuseForeignKeys(root.signed.keys)
  for (const role of ['snapshot', 'timestamp']) {
    const { keyIDs, threshold } = root.signed.roles[role] ?? { keyIDs: [], threshold: 0 }
    const ours = keyIDs.length === 1 && keyIDs[0] === options.onlineKey.keyId && threshold === 1
    if (!ours || !Object.hasOwn(root.signed.keys, options.onlineKey.keyId))
      throw new Refused('online-key-missing')
  }
  if (!root.signed.consistentSnapshot) throw new Refused('online-key-missing')
  return root
}

/** The same bytes as before, or the next version; signed as the delegator now wants it. */
function acceptNext(
  before: Uint8Array | undefined,
  bytes: Uint8Array,
  delegator: Metadata<Root> | Metadata<Targets>,
  role: string,
  nowMs: number,
): Metadata<Targets> {
  const metadata = parseTargets(bytes)
  if (before !== undefined && !equalBytes(before, bytes)) {
    const next = parseTargets(before).signed.version + 1
    if (metadata.signed.version !== next) throw new Refused('version-not-next')
  }
  if (!isSignedFor(delegator, role, metadata)) throw new Refused('signatures-missing')
  refuseExpired(metadata, nowMs)
  return metadata
}

function acceptDelegations(targets: Metadata<Targets>): ReadonlySet<string> {
  const { delegations } = targets.signed
  if (delegations === undefined) return new Set()
  if (delegations.succinctRoles !== undefined) throw new Refused('delegation-unexpected')
  refuseForeignKeys(delegations.keys)
  const roles = Object.values(delegations.roles ?? {})
  if (roles.length > LINES_MAX) throw new Refused('delegation-unexpected')
  for (const { name, paths, terminating } of roles) {
    const model = modelOfLine(name)
    if (model === undefined || !ModelSchema.safeParse(model).success)
      throw new Refused('delegation-unexpected')
    const ours = paths?.length === 1 && paths[0] === linePattern(model) && terminating
    if (!ours) throw new Refused('delegation-unexpected')
  }
  return new Set(roles.map((role) => role.name))
}

/** A release keeps its content and sequence; a new one has a higher sequence than all before it. */
function acceptReleases(
  before: Metadata<Targets> | undefined,
  after: Metadata<Targets>,
  role: string,
): { readonly added: ReleaseTarget[]; readonly removed: ReleaseTarget[] } {
  if (after.signed.delegations !== undefined) throw new Refused('delegation-unexpected')
  const old = new Map(Object.entries(before?.signed.targets ?? {}))
  const floor = before === undefined ? 0 : lastSequence(before.signed.toJSON() as JsonObject)
  const last = lastSequence(after.signed.toJSON() as JsonObject)
  if (last < floor) throw new Refused('release-invalid')
  const sequences = new Set<number>()
  const added: ReleaseTarget[] = []
  for (const [path, file] of Object.entries(after.signed.targets)) {
    const target = fromTufTarget(file)
    if (target === undefined || target.model !== modelOfLine(role))
      throw new Refused('release-invalid')
    if (sequences.has(target.sequence) || target.sequence > last)
      throw new Refused('release-invalid')
    sequences.add(target.sequence)
    const same = releaseOf(old.get(path))
    if (same === undefined && target.sequence <= floor) throw new Refused('release-invalid')
    if (same === undefined) added.push(target)
    else if (!same.root.equals(target.root) || same.sequence !== target.sequence)
      throw new Refused('release-invalid')
    old.delete(path)
  }
  const isFull = sequences.size >= LINE_MAX_RELEASES
  const oldest = Math.min(...sequences)
  const removed = Array.from(old.values(), fromTufTarget)
    .filter((target) => target !== undefined)
    .filter((target) => !isFull || target.sequence > oldest)
  return { added: added.sort((a, b) => a.sequence - b.sequence), removed }
}

function releaseOf(
  file: Parameters<typeof fromTufTarget>[0] | undefined,
): ReleaseTarget | undefined {
  return file === undefined ? undefined : fromTufTarget(file)
}

/** Ed25519 only, each under the id that the specification gives it: so that one key never counts as two. */
function refuseForeignKeys(
  keys: Readonly<
    Record<
      string,
      {
        readonly keyType: string
        readonly scheme: string
        readonly keyVal: { readonly public?: string }
      }
    >
  >,
): void {
  for (const [keyId, key] of Object.entries(keys)) {
    const digits = key.keyVal.public ?? ''
    const ed25519 =
      key.keyType === 'ed25519' && key.scheme === 'ed25519' && /^[0-9a-f]{64}$/.test(digits)
    if (!ed25519 || tufPublicKey(`0x${digits}`).keyId !== keyId)
      throw new Refused('metadata-damaged')
  }
}

function refuseExpired(metadata: { signed: { expires: string } }, nowMs: number): void {
  if (Date.parse(metadata.signed.expires) <= nowMs) throw new Refused('metadata-expired')
}
