import type { Metadata, Root } from '@tufjs/models'
import { BadVersionError, EqualVersionError, ExpiredMetadataError } from 'tuf-js/dist/error.js'
import { TrustedMetadataStore } from 'tuf-js/dist/store.js'
import {
  ROOT_MAX_BYTES,
  ROOT_ROTATIONS_MAX,
  SNAPSHOT_MAX_BYTES,
  TARGETS_MAX_BYTES,
  TIMESTAMP_MAX_BYTES,
} from './limits.ts'
import { believedMs, newestSigningMs } from './signing-time.ts'
import { readJson } from './tuf-file.ts'

export type RefreshRefusal =
  /** What the repository serves is too old: it is cut off, frozen, or this clock is wrong. */
  | 'metadata-expired'
  /** Older than what was seen before. */
  | 'metadata-rolled-back'
  /** Wrong or too few signatures, another hash or length than was signed, or no TUF metadata at all. */
  | 'metadata-untrusted'
  | 'metadata-missing'
  /** More bytes than the file may have. */
  | 'metadata-too-large'

export class RefreshRefused extends Error {
  readonly reason: RefreshRefusal
  constructor(reason: RefreshRefusal, message: string, cause?: unknown) {
    super(message, { cause })
    this.reason = reason
  }
}

/** Undefined where the repository has no such file. */
export type FetchFile = (name: string, maxBytes: number) => Promise<Uint8Array | undefined>

/** Files that verified, by role: `root`, `timestamp`, …. A Map, or a folder that is durable once `set` resolves. */
export interface TrustedFiles {
  get(role: string): Uint8Array | undefined | Promise<Uint8Array | undefined>
  set(role: string, bytes: Uint8Array): unknown
  delete(role: string): unknown
}

/** What is trusted after (or in the middle of) a refresh, and the files to keep so that it is never less. */
export interface TrustSession<Files extends TrustedFiles = TrustedFiles> {
  readonly trusted: TrustedMetadataStore
  readonly files: Files
  readonly time: SessionTime
}

export interface SessionTime {
  readonly nowMs: number
  /**
   * The files lay somewhere before they came here. Snapshot and timestamp, which end within days, are judged by
   * the newest signing that was verified; what the vendor itself signed by that or the clock (`believedMs`).
   */
  readonly isCarried: boolean
}

/**
 * Starts from a trusted root. `nowMs` is the time that expiry is judged by (TUF 5.1: fixed for the whole refresh).
 * Throws when the root is none, as only a damaged program or disk can cause that.
 */
export function startSession<Files extends TrustedFiles>(
  root: Uint8Array,
  files: Files,
  time: SessionTime,
): TrustSession<Files> {
  const trusted = new TrustedMetadataStore(Buffer.from(root))
  const session = { trusted, files, time }
  setTime(session)
  return session
}

/** tuf-js takes the system's time and has no option for another; here time is a collaborator. */
function setTime(session: TrustSession): void {
  const { trusted, time } = session
  const signedMs = time.isCarried ? signingMs(session) : undefined
  Object.assign(trusted, { referenceTime: new Date(signedMs ?? time.nowMs) })
}

/** When the newest file that verified was signed; undefined where none of them says it. */
export function signingMs({ trusted }: TrustSession): number | undefined {
  return newestSigningMs([trusted.root, trusted.timestamp])
}

/**
 * The client workflow of the TUF specification, 5.3 to 5.6, over tuf-js's trusted set, which makes every check.
 * (tuf-js's own Updater does the same between plain writes of files, which a power cut can tear.) What has been
 * verified is in `session.files` at any moment, also when a later step refuses. Throws RefreshRefused.
 */
export async function updateTopLevel(session: TrustSession, fetchFile: FetchFile): Promise<void> {
  await updateRoot(session, fetchFile)
  await updateTimestamp(session, fetchFile)
  await updateSnapshot(session, fetchFile)
  await updateRole(session, 'targets', 'root', fetchFile)
}

/** `updateTopLevel`, and the roles of some product lines. */
export async function updateTrust(
  session: TrustSession,
  lines: readonly string[],
  fetchFile: FetchFile,
): Promise<void> {
  await updateTopLevel(session, fetchFile)
  const delegated = session.trusted.targets?.signed.delegations?.roles ?? {}
  for (const line of lines) {
    // A model of which nothing is published yet has no line.
    if (Object.hasOwn(delegated, line)) await updateRole(session, line, 'targets', fetchFile)
  }
  if (session.time.isCarried) requireBelieved(session, lines)
}

/** tuf-js has judged by the time of signing; what is meant to last is judged by the clock, where it can be right. */
function requireBelieved(session: TrustSession, lines: readonly string[]): void {
  const { trusted, time } = session
  const now = new Date(believedMs(time.nowMs, signingMs(session)))
  for (const role of ['root', 'targets', ...lines]) {
    const { expires } = trusted.getRole(role)?.signed ?? {}
    if (expires !== undefined && new Date(expires) <= now) {
      throw new RefreshRefused('metadata-expired', `${role} has expired at ${expires}`)
    }
  }
}

async function updateRoot(session: TrustSession, fetchFile: FetchFile): Promise<void> {
  const { trusted, files } = session
  const start = trusted.root.signed.version
  for (let version = start + 1; version <= start + ROOT_ROTATIONS_MAX; version++) {
    const bytes = await fetchBounded(`${version}.root.json`, ROOT_MAX_BYTES, fetchFile)
    if (bytes === undefined) return
    const before = trusted.root
    verify(bytes, (file) => trusted.updateRoot(file))
    // TUF 5.3.11: whoever held an old key may have signed the highest of all versions. tuf-js drops only what
    // the new keys no longer vouch for, which keeps a timestamp that names such a snapshot. Before the root is
    // kept, as after a crash in between nobody would know of the rotation.
    if (lostOnlineKey(before, trusted.root)) {
      await files.delete('timestamp')
      await files.delete('snapshot')
    }
    await files.set('root', bytes)
    setTime(session)
  }
}

function lostOnlineKey(before: Metadata<Root>, after: Metadata<Root>): boolean {
  return ['timestamp', 'snapshot'].some((role) => {
    const kept = after.signed.roles[role]?.keyIDs ?? []
    return (before.signed.roles[role]?.keyIDs ?? []).some((keyId) => !kept.includes(keyId))
  })
}

async function updateTimestamp(session: TrustSession, fetchFile: FetchFile): Promise<void> {
  const { trusted, files } = session
  const old = await files.get('timestamp')
  // An expired one still tells which versions were seen.
  if (old !== undefined) stillTrusted(old, (file) => trusted.updateTimestamp(file))
  setTime(session)
  const bytes = await fetchNeeded('timestamp.json', TIMESTAMP_MAX_BYTES, fetchFile)
  let isNew = true
  verify(bytes, (file) => {
    try {
      trusted.updateTimestamp(file)
    } catch (thrown) {
      if (!(thrown instanceof EqualVersionError)) throw thrown
      isNew = false
    }
  })
  if (isNew) await files.set('timestamp', bytes)
  setTime(session)
}

async function updateSnapshot(
  { trusted, files }: TrustSession,
  fetchFile: FetchFile,
): Promise<void> {
  const old = await files.get('snapshot')
  if (old !== undefined && stillTrusted(old, (file) => trusted.updateSnapshot(file, true))) return
  const meta = trusted.timestamp?.signed.snapshotMeta
  const version = trusted.root.signed.consistentSnapshot ? `${meta?.version}.` : ''
  const maxBytes = Math.min(meta?.length ?? SNAPSHOT_MAX_BYTES, SNAPSHOT_MAX_BYTES)
  const bytes = await fetchNeeded(`${version}snapshot.json`, maxBytes, fetchFile)
  verify(bytes, (file) => trusted.updateSnapshot(file))
  await files.set('snapshot', bytes)
}

/** Verifies the role as `delegator` delegates it, from what was stored when that is still good. */
export async function updateRole(
  { trusted, files }: TrustSession,
  role: string,
  delegator: string,
  fetchFile: FetchFile,
): Promise<void> {
  // Half a surrogate pair can stand in JSON, but in no address and no file name.
  if (!role.isWellFormed()) throw new RefreshRefused('metadata-untrusted', 'a role has no name')
  const update = (file: Buffer) => trusted.updateDelegatedTargets(file, role, delegator)
  const old = await files.get(role)
  if (old !== undefined && stillTrusted(old, update)) return
  const meta = trusted.snapshot?.signed.meta[`${role}.json`]
  if (meta === undefined) {
    throw new RefreshRefused('metadata-untrusted', `the snapshot does not name ${role}`)
  }
  const version = trusted.root.signed.consistentSnapshot ? `${meta.version}.` : ''
  const maxBytes = Math.min(meta.length ?? TARGETS_MAX_BYTES, TARGETS_MAX_BYTES)
  const name = `${version}${encodeURIComponent(role)}.json`
  const bytes = await fetchNeeded(name, maxBytes, fetchFile)
  verify(bytes, update)
  await files.set(role, bytes)
}

async function fetchBounded(
  name: string,
  maxBytes: number,
  fetchFile: FetchFile,
): Promise<Uint8Array | undefined> {
  const bytes = await fetchFile(name, maxBytes)
  if (bytes === undefined || bytes.byteLength <= maxBytes) return bytes
  throw new RefreshRefused('metadata-too-large', `${name} has more than ${maxBytes} bytes`)
}

async function fetchNeeded(
  name: string,
  maxBytes: number,
  fetchFile: FetchFile,
): Promise<Uint8Array> {
  const bytes = await fetchBounded(name, maxBytes, fetchFile)
  if (bytes !== undefined) return bytes
  throw new RefreshRefused('metadata-missing', `the repository has no ${name}`)
}

/** False when what was stored is out of date or no longer signed by a trusted key: then it is fetched. */
function stillTrusted(bytes: Uint8Array, check: (file: Buffer) => unknown): boolean {
  try {
    check(Buffer.from(bytes))
    return true
  } catch (thrown) {
    if (thrown instanceof Error) return false
    throw thrown
  }
}

function verify(bytes: Uint8Array, check: (file: Buffer) => unknown): void {
  try {
    readJson(bytes)
    check(Buffer.from(bytes))
  } catch (thrown) {
    throw asRefused(thrown)
  }
}

function asRefused(thrown: unknown): RefreshRefused {
  const message = thrown instanceof Error ? thrown.message : String(thrown)
  if (thrown instanceof ExpiredMetadataError)
    return new RefreshRefused('metadata-expired', message, thrown)
  if (thrown instanceof BadVersionError)
    return new RefreshRefused('metadata-rolled-back', message, thrown)
  return new RefreshRefused('metadata-untrusted', message, thrown)
}
