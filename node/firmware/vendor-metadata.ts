import { ModelSchema } from '../api/index.ts'
import { LINE_MAX_RELEASES, LINES_MAX, TARGETS_MAX_BYTES } from './limits.ts'
import { fromTufTarget, releasePath, toTufTarget } from './release-target.ts'
import { signedAt } from './signing-time.ts'
import {
  expiryTime,
  isSignedFor,
  type JsonObject,
  linePattern,
  lineRole,
  parseRoot,
  parseTargets,
  SPEC_VERSION,
  signFile,
} from './tuf-file.ts'
import { tufKeyJson, type TufPublicKey, type TufSigner } from './tuf-keys.ts'
import { firmwareError, type ReleaseTarget } from './types.ts'

const DAY_MS = 24 * 60 * 60 * 1000

/** How long each file is valid from its signing. A device refuses releases that nobody renewed for so long. */
export interface MetadataLifetimes {
  readonly rootMs: number
  /** Targets and lines: what is signed offline. */
  readonly targetsMs: number
  readonly snapshotMs: number
  /** How long a gateway that is cut off, or that lies by silence, stays believed. */
  readonly timestampMs: number
}

export const DEFAULT_LIFETIMES: MetadataLifetimes = {
  rootMs: 365 * DAY_MS,
  targetsMs: 365 * DAY_MS,
  snapshotMs: 7 * DAY_MS,
  timestampMs: DAY_MS,
}

export interface SigningTime {
  /** Milliseconds since 1970, from a Clock. */
  readonly nowMs: number
  readonly lifetimes?: MetadataLifetimes
}

export interface RoleKeys {
  readonly keys: readonly TufPublicKey[]
  /** Signatures of so many different keys are needed. */
  readonly threshold: number
}

export interface VendorRoles {
  readonly root: RoleKeys
  readonly targets: RoleKeys
  /** Signs snapshot and timestamp: the gateway's. */
  readonly online: RoleKeys
}

/** What the vendor signs, each file as its bytes. Only the newest version of each. */
export interface OfflineMetadata {
  readonly root: Uint8Array
  readonly targets: Uint8Array
  /** By role name, see `lineRole`. */
  readonly lines: Readonly<Record<string, Uint8Array>>
}

/** The first root and an empty list of releases. Throws metadata-change-invalid when too few sign. */
export function createVendorMetadata(
  roles: VendorRoles,
  signers: { readonly root: readonly TufSigner[]; readonly targets: readonly TufSigner[] },
  time: SigningTime,
): OfflineMetadata {
  const root = signFile(rootJson(roles, 1, time), signers.root)
  const targets = signFile({ ...targetsHead(1, time), targets: {} }, signers.targets)
  return checked({ root, targets, lines: {} })
}

/**
 * New keys for root, targets or the gateway. Enough of the old root keys and of the new ones must sign; targets
 * are signed again when their keys changed. Losing the gateway's key is mended this way.
 */
export function rotateRoot(
  current: OfflineMetadata,
  roles: VendorRoles,
  signers: { readonly root: readonly TufSigner[]; readonly targets: readonly TufSigner[] },
  time: SigningTime,
): OfflineMetadata {
  const old = parseRoot(current.root)
  const root = signFile(rootJson(roles, old.signed.version + 1, time), signers.root)
  const next = parseRoot(root)
  if (!isSignedFor(old, 'root', next)) throw tooFew('the old root')
  const keep = isSignedFor(next, 'targets', parseTargets(current.targets))
  const targets = keep
    ? current.targets
    : signFile(nextTargets(current.targets, time), signers.targets)
  return checked({ ...current, root, targets })
}

/** Signs the list of product lines again, so that it stays valid. */
export function renewTargets(
  current: OfflineMetadata,
  signers: readonly TufSigner[],
  time: SigningTime,
): OfflineMetadata {
  return checked({ ...current, targets: signFile(nextTargets(current.targets, time), signers) })
}

/** Signs the releases of a model again, so that they stay valid. */
export function renewLine(
  current: OfflineMetadata,
  model: string,
  signers: readonly TufSigner[],
  time: SigningTime,
): OfflineMetadata {
  return checked(
    withLine(current, model, signFile(nextTargets(lineOf(current, model), time), signers)),
  )
}

/**
 * Names a release as the newest of its model. The first one of a model makes its line, which `signers.line` then
 * own, and needs `signers.targets`. Beyond LINE_MAX_RELEASES the oldest is no longer named. Throws
 * metadata-change-invalid.
 */
export function addRelease(
  current: OfflineMetadata,
  release: Omit<ReleaseTarget, 'sequence'>,
  signers: { readonly targets?: readonly TufSigner[]; readonly line: readonly TufSigner[] },
  time: SigningTime,
): { readonly metadata: OfflineMetadata; readonly target: ReleaseTarget } {
  const lineKeys = { keys: signers.line, threshold: Math.max(signers.line.length, 1) }
  const added = withRelease(current, release, { targets: [], ...signers, lineKeys }, time)
  checked(added.metadata)
  return added
}

/** As `addRelease`, without a look at who has signed. A new line belongs to `lineKeys`. */
export function withRelease(
  current: OfflineMetadata,
  release: Omit<ReleaseTarget, 'sequence'>,
  by: {
    readonly targets: readonly TufSigner[]
    readonly line: readonly TufSigner[]
    readonly lineKeys: RoleKeys
  },
  time: SigningTime,
): { readonly metadata: OfflineMetadata; readonly target: ReleaseTarget } {
  const { model } = release
  const isNew = !hasLine(current, model)
  const started = isNew
    ? { ...current, targets: signFile(delegated(current, model, by.lineKeys, time), by.targets) }
    : current
  const line = isNew
    ? { ...targetsHead(1, time), targets: {}, [SEQUENCE_FIELD]: 0 }
    : nextTargets(lineOf(current, model), time)
  const path = releasePath(model, release.version)
  const targets = line['targets'] as JsonObject
  if (targets[path] !== undefined) {
    throw invalid(`${path} is published already`, 'Give the release another version.')
  }
  const sequence = lastSequence(line) + 1
  const target = { ...release, sequence }
  const signed = {
    ...line,
    targets: { ...newestTargets(targets, LINE_MAX_RELEASES - 1), [path]: toTufTarget(target) },
    [SEQUENCE_FIELD]: sequence,
  }
  const metadata = withLine(started, model, signFile(signed, by.line))
  const [added] = releasesOf(metadata, model).filter((one) => one.sequence === sequence)
  if (added === undefined) {
    throw invalid(`${path} is no well-formed release`, 'Pass on what packRelease gave.')
  }
  return { metadata, target }
}

/** Takes a release back: devices that hear of it choose the newest of those that are left. */
export function removeRelease(
  current: OfflineMetadata,
  release: Pick<ReleaseTarget, 'model' | 'version'>,
  signers: readonly TufSigner[],
  time: SigningTime,
): OfflineMetadata {
  const line = nextTargets(lineOf(current, release.model), time)
  const path = releasePath(release.model, release.version)
  const { [path]: removed, ...targets } = line['targets'] as JsonObject
  if (removed === undefined) throw invalid(`${path} is not published`, 'See which releases are.')
  return checked(withLine(current, release.model, signFile({ ...line, targets }, signers)))
}

/** The releases of a model that the vendor stands behind, oldest first. */
export function releasesOf(metadata: OfflineMetadata, model: string): readonly ReleaseTarget[] {
  if (!hasLine(metadata, model)) return []
  return Object.values(parseTargets(lineOf(metadata, model)).signed.targets)
    .map(fromTufTarget)
    .filter((target) => target !== undefined)
    .sort((a, b) => a.sequence - b.sequence)
}

/** Stock clients leave it alone; it keeps a sequence from being given twice after a release was taken back. */
const SEQUENCE_FIELD = 'x-ioex-last-sequence'

export function lastSequence(line: JsonObject): number {
  const last = line[SEQUENCE_FIELD]
  return typeof last === 'number' && Number.isSafeInteger(last) && last >= 0 ? last : 0
}

/** Targets that leave a model to these keys, which it may have been left to others before. */
export function delegated(
  current: OfflineMetadata,
  model: string,
  lineKeys: RoleKeys,
  time: SigningTime,
): JsonObject {
  if (!ModelSchema.safeParse(model).success)
    throw invalid('the model has a wrong form', 'Rename it.')
  if (!hasLine(current, model) && Object.keys(current.lines).length >= LINES_MAX) {
    throw invalid(`a vendor has at most ${LINES_MAX} models`, 'Use a second vendor account.')
  }
  const targets = nextTargets(current.targets, time)
  const { keys = {}, roles = [] } = (targets['delegations'] ?? {}) as {
    keys?: JsonObject
    roles?: JsonObject[]
  }
  const name = lineRole(model)
  const role: JsonObject = {
    name,
    ...roleJson(lineKeys),
    terminating: true,
    paths: [linePattern(model)],
  }
  const others = roles.filter((one) => one['name'] !== name)
  const all = [...others, role]
  const named = new Set(all.flatMap((one) => one['keyids'] as string[]))
  const known = { ...keys, ...keysJson(lineKeys.keys) }
  const still = Object.entries(known).filter(([keyId]) => named.has(keyId))
  return { ...targets, delegations: { keys: Object.fromEntries(still), roles: all } }
}

/** Those with the highest sequences. */
function newestTargets(targets: JsonObject, count: number): JsonObject {
  const sequence = (target: JsonObject[string]) =>
    Number(((target as JsonObject)['custom'] as JsonObject | undefined)?.['sequence'] ?? 0)
  const newestFirst = Object.entries(targets).sort(([, a], [, b]) => sequence(b) - sequence(a))
  return Object.fromEntries(newestFirst.slice(0, count))
}

function hasLine(metadata: OfflineMetadata, model: string): boolean {
  return Object.hasOwn(metadata.lines, lineRole(model))
}

export function lineOf(metadata: OfflineMetadata, model: string): Uint8Array {
  const line = hasLine(metadata, model) ? metadata.lines[lineRole(model)] : undefined
  if (line !== undefined) return line
  throw invalid(`nothing is published for model ${model}`, 'See which models there are.')
}

export function withLine(
  current: OfflineMetadata,
  model: string,
  line: Uint8Array,
): OfflineMetadata {
  return { ...current, lines: { ...current.lines, [lineRole(model)]: line } }
}

/** The signed part with the next version and a new expiry; fields that this program does not know stay. */
export function nextTargets(bytes: Uint8Array, time: SigningTime): JsonObject {
  const { signed } = parseTargets(bytes)
  return { ...(signed.toJSON() as JsonObject), ...targetsHead(signed.version + 1, time) }
}

function targetsHead(version: number, time: SigningTime): JsonObject {
  const { targetsMs } = time.lifetimes ?? DEFAULT_LIFETIMES
  return {
    _type: 'targets',
    spec_version: SPEC_VERSION,
    version,
    expires: expiryTime(time.nowMs + targetsMs),
  }
}

export function rootJson(roles: VendorRoles, version: number, time: SigningTime): JsonObject {
  const { rootMs } = time.lifetimes ?? DEFAULT_LIFETIMES
  const online = roleJson(roles.online)
  return {
    _type: 'root',
    spec_version: SPEC_VERSION,
    version,
    expires: expiryTime(time.nowMs + rootMs),
    ...signedAt(time.nowMs),
    consistent_snapshot: true,
    keys: keysJson([...roles.root.keys, ...roles.targets.keys, ...roles.online.keys]),
    roles: {
      root: roleJson(roles.root),
      targets: roleJson(roles.targets),
      snapshot: online,
      timestamp: online,
    },
  }
}

function roleJson(role: RoleKeys): JsonObject {
  const keyids = [...new Set(role.keys.map((key) => key.keyId))]
  if (!Number.isInteger(role.threshold) || role.threshold < 1 || role.threshold > keyids.length) {
    throw invalid('a threshold lies between 1 and the number of keys', 'Name more keys.')
  }
  return { keyids, threshold: role.threshold }
}

function keysJson(keys: readonly TufPublicKey[]): JsonObject {
  return Object.fromEntries(keys.map((key) => [key.keyId, { ...tufKeyJson(key) }]))
}

/** What is handed on verifies, so that a wrong signer is noticed where it signs, not on a device. */
export function checked(metadata: OfflineMetadata): OfflineMetadata {
  const root = parseRoot(metadata.root)
  const targets = parseTargets(metadata.targets)
  if (!isSignedFor(root, 'root', root)) throw tooFew('root')
  if (!isSignedFor(root, 'targets', targets)) throw tooFew('targets')
  for (const [role, bytes] of Object.entries(metadata.lines)) {
    if (bytes.byteLength > TARGETS_MAX_BYTES) {
      throw invalid(
        `${role} has become too large`,
        'Remove releases that no device needs any more.',
      )
    }
    if (!isSignedFor(targets, role, parseTargets(bytes))) throw tooFew(role)
  }
  return metadata
}

function tooFew(role: string) {
  return invalid(`too few of the right keys signed ${role}`, 'Sign with the keys that it names.')
}

function invalid(message: string, fix: string) {
  return firmwareError('metadata-change-invalid', message, { blame: 'caller', fix })
}
