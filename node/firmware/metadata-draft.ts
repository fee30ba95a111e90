/**
 * Changes of a vendor's metadata that several holders of keys sign, one after the other, each on a machine of his
 * own: a draft goes from hand to hand as bytes until every role has the signatures that its threshold asks for.
 * Signing order does not matter. Nothing here is trusted by anybody: `finishDraft`, the gateway and every device
 * check what comes out.
 */
import type { Key, Metadata, Root, Targets } from '@tufjs/models'
import {
  cosign,
  type JsonObject,
  lineRole,
  modelOfLine,
  parseRoot,
  parseTargets,
  signFile,
} from './tuf-file.ts'
import { tufPublicKey, type TufPublicKey, type TufSigner } from './tuf-keys.ts'
import { firmwareError, type ReleaseTarget } from './types.ts'
import {
  checked,
  delegated,
  lineOf,
  nextTargets,
  type OfflineMetadata,
  releasesOf,
  type RoleKeys,
  rootJson,
  type SigningTime,
  type VendorRoles,
  withLine,
  withRelease,
} from './vendor-metadata.ts'

/** What is there, and what shall be there; signatures may be missing in `next`. */
export interface MetadataDraft {
  readonly base: OfflineMetadata
  readonly next: OfflineMetadata
}

export interface MissingSignatures {
  /** `root`, `targets` or a line. A new root is signed for the old root's keys as well. */
  readonly role: string
  readonly have: number
  readonly threshold: number
  /** Keys that may sign and have not. */
  readonly keyIds: readonly string[]
}

/** Who holds which role now. */
export function rolesOf(metadata: OfflineMetadata): VendorRoles {
  const root = parseRoot(metadata.root)
  return {
    root: roleKeys(root, 'root'),
    targets: roleKeys(root, 'targets'),
    online: roleKeys(root, 'timestamp'),
  }
}

/** Who may sign for a model. Throws metadata-change-invalid when there is no such line. */
export function lineKeysOf(metadata: OfflineMetadata, model: string): RoleKeys {
  return roleKeys(parseTargets(metadata.targets), lineRole(model))
}

/** When each file ends, in milliseconds since 1970, soonest first. */
export function expiriesOf(
  metadata: OfflineMetadata,
): readonly { readonly role: string; readonly version: number; readonly expiresMs: number }[] {
  return changedFiles(undefined, metadata)
    .map(({ role, file: { signed } }) => ({
      role,
      version: signed.version,
      expiresMs: Date.parse(signed.expires),
    }))
    .sort((a, b) => a.expiresMs - b.expiresMs)
}

/**
 * Other keys, or another threshold, for root, for targets (and every line that the same keys hold) or for one model.
 * A lost or stolen key is revoked by leaving it out. Throws metadata-change-invalid.
 */
export function draftKeys(
  base: OfflineMetadata,
  role: 'root' | 'targets' | { readonly model: string },
  keys: RoleKeys,
  time: SigningTime,
): MetadataDraft {
  if (typeof role === 'object') {
    lineKeysOf(base, role.model)
    return { base, next: withLineKeys(base, role.model, keys, time) }
  }
  const before = rolesOf(base)
  const version = parseRoot(base.root).signed.version + 1
  const root = signFile(rootJson({ ...before, [role]: keys }, version, time), [])
  if (role === 'root') return { base, next: { ...base, root } }
  let next: OfflineMetadata = {
    ...base,
    root,
    targets: signFile(nextTargets(base.targets, time), []),
  }
  for (const model of modelsOf(base)) {
    if (!isSame(lineKeysOf(base, model), before.targets)) continue
    const { targets } = next
    next = withLineKeys(next, model, keys, time)
    // One new version of targets, however many lines change hands in it.
    next = { ...next, targets: sameVersion(targets, next.targets) }
  }
  return { base, next }
}

/** Everything that the vendor signs, once more and for as long as the lifetimes say. */
export function draftRenewal(base: OfflineMetadata, time: SigningTime): MetadataDraft {
  const version = parseRoot(base.root).signed.version + 1
  let next: OfflineMetadata = {
    ...base,
    root: signFile(rootJson(rolesOf(base), version, time), []),
    targets: signFile(nextTargets(base.targets, time), []),
  }
  for (const model of modelsOf(base)) {
    next = withLine(next, model, signFile(nextTargets(lineOf(base, model), time), []))
  }
  return { base, next }
}

/** A new release; the line of a new model belongs to the keys of targets. Throws metadata-change-invalid. */
export function draftRelease(
  base: OfflineMetadata,
  release: Omit<ReleaseTarget, 'sequence'>,
  time: SigningTime,
): MetadataDraft {
  const by = { targets: [], line: [], lineKeys: rolesOf(base).targets }
  return { base, next: withRelease(base, release, by, time).metadata }
}

/** Signs each file for which one of the signers may still sign; tells for which roles. */
export function signDraft(
  draft: MetadataDraft,
  signers: readonly TufSigner[],
): { readonly draft: MetadataDraft; readonly signed: readonly string[] } {
  const missing = missingSignatures(draft)
  const signed: string[] = []
  let { next } = draft
  for (const { role, file } of changedFiles(draft.base, next)) {
    const wanted = new Set(
      missing.filter((one) => one.role === role).flatMap(({ keyIds }) => keyIds),
    )
    const able = signers.filter(({ keyId }) => wanted.has(keyId))
    if (able.length === 0) continue
    signed.push(role)
    const bytes = cosign(file, able)
    if (role === 'root') next = { ...next, root: bytes }
    else if (role === 'targets') next = { ...next, targets: bytes }
    else next = { ...next, lines: { ...next.lines, [role]: bytes } }
  }
  return { draft: { base: draft.base, next }, signed }
}

/** Empty when the draft is ready. */
export function missingSignatures({ base, next }: MetadataDraft): readonly MissingSignatures[] {
  const root = parseRoot(next.root)
  const targets = parseTargets(next.targets)
  return changedFiles(base, next)
    .flatMap(({ role, file }) => {
      if (role === 'root') return [tally(parseRoot(base.root), role, file), tally(root, role, file)]
      return [tally(role === 'targets' ? root : targets, role, file)]
    })
    .filter(({ have, threshold }) => have < threshold)
}

/** What is to be handed in. Throws metadata-change-invalid when signatures are missing. */
export function finishDraft(draft: MetadataDraft): OfflineMetadata {
  const [missing] = missingSignatures(draft)
  if (missing === undefined) return checked(draft.next)
  const { role, have, threshold, keyIds } = missing
  throw invalid(
    `${role} has ${have} of ${threshold} signatures`,
    `Have it signed by ${keyIds.map((keyId) => keyId.slice(0, 12)).join(' or ')}.`,
  )
}

/**
 * For a person who is asked to sign: what would hold afterwards, a line for each fact. It is read from what will be
 * signed, not from what the draft says of itself.
 */
export function describeDraft({ base, next }: MetadataDraft): readonly string[] {
  const lines: string[] = []
  const was = rolesOf(base)
  const becomes = rolesOf(next)
  for (const { role, file } of changedFiles(base, next)) {
    const { version, expires } = file.signed
    lines.push(`${role}: version ${version}, good until ${expires.slice(0, 10)}`)
    if (role === 'root') {
      for (const name of ['root', 'targets', 'online'] as const) {
        lines.push(...keysInWords(name, was[name], becomes[name]))
      }
    }
    const model = modelOfLine(role)
    if (model === undefined) continue
    lines.push(...keysInWords(`model ${model}`, keysBefore(base, model), lineKeysOf(next, model)))
    const known = new Map(releasesOf(base, model).map((one) => [one.version, one.root.toString()]))
    for (const release of releasesOf(next, model)) {
      const root = release.root.toString()
      if (known.get(release.version) !== root) {
        lines.push(`  publishes ${model} ${release.version}: ${root}`)
      }
      known.delete(release.version)
    }
    for (const version of known.keys()) lines.push(`  takes back ${model} ${version}`)
  }
  return lines
}

function keysBefore(base: OfflineMetadata, model: string): RoleKeys {
  return modelsOf(base).includes(model) ? lineKeysOf(base, model) : { keys: [], threshold: 0 }
}

function keysInWords(name: string, before: RoleKeys, after: RoleKeys): string[] {
  const ids = (role: RoleKeys) => role.keys.map(({ keyId }) => keyId.slice(0, 12))
  const old = new Set(ids(before))
  const now = new Set(ids(after))
  const words = [
    ...[...now]
      .filter((id) => !old.has(id))
      .map((id) => `  ${name}: key ${id} may sign from now on`),
    ...[...old].filter((id) => !now.has(id)).map((id) => `  ${name}: key ${id} is revoked`),
  ]
  if (before.threshold !== after.threshold || words.length > 0) {
    words.push(`  ${name}: ${after.threshold} of ${after.keys.length} keys have to sign`)
  }
  return words
}

interface RoleFile {
  readonly role: string
  readonly file: Metadata<Root> | Metadata<Targets>
}

/** Files whose version is another one than in `base`; all of them without it. */
function changedFiles(base: OfflineMetadata | undefined, next: OfflineMetadata): RoleFile[] {
  const files: RoleFile[] = []
  const root = parseRoot(next.root)
  if (base === undefined || parseRoot(base.root).signed.version !== root.signed.version) {
    files.push({ role: 'root', file: root })
  }
  const add = (role: string, before: Uint8Array | undefined, bytes: Uint8Array) => {
    const file = parseTargets(bytes)
    const old = before === undefined ? undefined : parseTargets(before)
    if (old?.signed.version !== file.signed.version) files.push({ role, file })
  }
  add('targets', base?.targets, next.targets)
  for (const [role, bytes] of Object.entries(next.lines)) add(role, base?.lines[role], bytes)
  return files
}

function tally(
  delegator: Metadata<Root> | Metadata<Targets>,
  role: string,
  file: Metadata<Root> | Metadata<Targets>,
): MissingSignatures {
  const { keys, threshold } = rawRole(delegator, role)
  const unsigned = keys.filter((key) => !hasSigned(key, file))
  return {
    role,
    have: keys.length - unsigned.length,
    threshold,
    keyIds: unsigned.map(({ keyID }) => keyID),
  }
}

function hasSigned(key: Key, file: Metadata<Root> | Metadata<Targets>): boolean {
  if (!Object.hasOwn(file.signatures, key.keyID)) return false
  try {
    key.verifySignature(file)
    return true
  } catch (thrown) {
    // It throws for a signature that is wrong, which counts as none.
    if (thrown instanceof Error) return false
    throw thrown
  }
}

function rawRole(
  delegator: Metadata<Root> | Metadata<Targets>,
  role: string,
): { readonly keys: readonly Key[]; readonly threshold: number } {
  const { signed } = delegator
  const named = 'delegations' in signed ? signed.delegations?.roles?.[role] : rootRole(signed, role)
  const keys = 'delegations' in signed ? signed.delegations?.keys : (signed as Root).keys
  if (named === undefined || keys === undefined) {
    throw invalid(`there is no ${role}`, 'See which models there are: ioex vendor keys')
  }
  const found = named.keyIDs.map((keyId) => keys[keyId]).filter((key) => key !== undefined)
  return { keys: found, threshold: named.threshold }
}

function rootRole(signed: Root | Targets, role: string) {
  return (signed as Root).roles[role]
}

function roleKeys(delegator: Metadata<Root> | Metadata<Targets>, role: string): RoleKeys {
  const { keys, threshold } = rawRole(delegator, role)
  return {
    keys: keys.map((key): TufPublicKey => tufPublicKey(`0x${key.keyVal.public ?? ''}`)),
    threshold,
  }
}

function withLineKeys(
  current: OfflineMetadata,
  model: string,
  keys: RoleKeys,
  time: SigningTime,
): OfflineMetadata {
  const targets = signFile(delegated(current, model, keys, time), [])
  const line = signFile(nextTargets(lineOf(current, model), time), [])
  return withLine({ ...current, targets }, model, line)
}

/** `bytes` with the version of `like`. */
function sameVersion(like: Uint8Array, bytes: Uint8Array): Uint8Array {
  const signed = parseTargets(bytes).signed.toJSON() as JsonObject
  return signFile({ ...signed, version: parseTargets(like).signed.version }, [])
}

function modelsOf(metadata: OfflineMetadata): string[] {
  return Object.keys(metadata.lines)
    .map(modelOfLine)
    .filter((model) => model !== undefined)
}

function isSame(one: RoleKeys, other: RoleKeys): boolean {
  const ids = (role: RoleKeys) =>
    role.keys
      .map(({ keyId }) => keyId)
      .sort()
      .join()
  return one.threshold === other.threshold && ids(one) === ids(other)
}

function invalid(message: string, fix: string) {
  return firmwareError('metadata-change-invalid', message, { blame: 'caller', fix })
}
