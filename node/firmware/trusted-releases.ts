import type { Targets } from '@tufjs/models'
import {
  type AbortOptions,
  accepted,
  type Clock,
  type Log,
  type Result,
  refused,
} from '../base/index.ts'
import { DEVICE_MODELS_MAX } from './limits.ts'
import { fromTufTarget } from './release-target.ts'
import { believedMs } from './signing-time.ts'
import {
  type RefreshRefusal,
  RefreshRefused,
  signingMs,
  startSession,
  type TrustSession,
  updateTrust,
} from './trust-session.ts'
import { lineRole, versionOfRoot } from './tuf-file.ts'
import { firmwareError, type ReleaseTarget } from './types.ts'

/** Where a device keeps what it trusts. A power cut leaves either the old or the new set, whole. */
export interface MetadataStore {
  /** Empty when nothing was saved, or what was saved is damaged. */
  load(): Promise<ReadonlyMap<string, Uint8Array>>
  /** Replaces the set; durable when it resolves. */
  save(files: ReadonlyMap<string, Uint8Array>): Promise<void>
}

export interface TrustedReleasesNeeds {
  readonly store: MetadataStore
  /**
   * A file of the vendor's TUF repository, such as `3.root.json` or `timestamp.json`: from a gateway, a peer or
   * an archive, nobody has to be trusted. Undefined where there is none; throws when that cannot be told. Must
   * not read more than `maxBytes` + 1 bytes.
   */
  readonly fetchMetadata: (
    name: string,
    maxBytes: number,
    options: AbortOptions,
  ) => Promise<Uint8Array | undefined>
  readonly clock: Pick<Clock, 'nowMs'>
  readonly log: Pick<Log, 'info' | 'warn'>
}

export interface TrustedReleasesOptions {
  /** The vendor's `root.json` as it came with the device or its enrolment. Any version that was ever valid. */
  readonly initialRoot: Uint8Array
  /** Models whose releases are followed, at most DEVICE_MODELS_MAX. */
  readonly models: readonly string[]
  /**
   * `fetchMetadata` reads an archive that somebody carried here, maybe weeks later and to a device whose clock is
   * wrong. Expiry is then judged by the newest signing time that was verified, and by the clock only for what the
   * vendor's own keys signed and only within a year of it. Versions never go back, as ever.
   */
  readonly isCarried?: boolean
}

/** What the vendor stands behind, as of the last refresh that succeeded. */
export interface TrustedReleases {
  /**
   * Asks the repository for what is new. A refusal leaves what was trusted before as it is (but keeps every
   * step that did verify, so that nothing can be rolled back later). Throws what `fetchMetadata` and the store
   * throw. Calls that overlap share one refresh.
   */
  refresh(options?: AbortOptions): Promise<Result<{ readonly changed: boolean }, RefreshRefusal>>
  /**
   * The release with the highest sequence; undefined when there is none, before the first refresh, and once the
   * metadata has expired. Whether it is newer than what is installed is for the caller to compare.
   */
  newest(model: string): ReleaseTarget | undefined
  /** All of them, oldest first; empty where `newest` is undefined. */
  current(model: string): readonly ReleaseTarget[]
  /** Milliseconds since 1970 at which the first file expires; undefined before the first refresh. */
  readonly validUntilMs: number | undefined
}

/** Throws metadata-damaged when the initial root is none. */
export function createTrustedReleases(
  needs: TrustedReleasesNeeds,
  options: TrustedReleasesOptions,
): TrustedReleases {
  const initialVersion = versionOfRoot(options.initialRoot)
  if (initialVersion === undefined) {
    throw firmwareError(
      'metadata-damaged',
      'the first root.json is no TUF root that signed itself',
      {
        blame: 'caller',
        fix: 'Enrol the device again, or ask the vendor for its root.json.',
      },
    )
  }
  if (options.models.length > DEVICE_MODELS_MAX) {
    throw firmwareError('release-options-invalid', `at most ${DEVICE_MODELS_MAX} models`, {
      blame: 'caller',
      fix: 'Follow fewer models.',
    })
  }
  let releases = new Map<string, readonly ReleaseTarget[]>()
  let validUntilMs: number | undefined
  let signedMs: number | undefined
  const isCarried = options.isCarried === true
  let running: ReturnType<TrustedReleases['refresh']> | undefined

  const refresh: TrustedReleases['refresh'] = async (abort = {}) => {
    const stored = await needs.store.load()
    const root = newerRoot(stored)
    const files = new Map([...stored, ['root', root]])
    const session = startSession(root, files, { nowMs: needs.clock.nowMs(), isCarried })
    try {
      await updateTrust(session, options.models.map(lineRole), (name, maxBytes) => {
        abort.signal?.throwIfAborted()
        return needs.fetchMetadata(name, maxBytes, abort)
      })
    } catch (thrown) {
      if (!(thrown instanceof RefreshRefused)) throw thrown
      needs.log.warn({ reason: thrown.reason, error: thrown.message }, 'refused TUF metadata')
      return refused(thrown.reason)
    } finally {
      if (differs(stored, session.files)) await needs.store.save(session.files)
    }
    releases = new Map(
      options.models.map((model) => [model, releasesOf(session, model, needs.log)]),
    )
    validUntilMs = firstExpiryMs(session, options)
    signedMs = signingMs(session)
    return accepted({ changed: differs(stored, session.files) })
  }
  /** A program that was updated may bring a newer root than the one that is stored. */
  const newerRoot = (stored: ReadonlyMap<string, Uint8Array>): Uint8Array => {
    const kept = stored.get('root')
    if (kept === undefined) return options.initialRoot
    const version = versionOfRoot(kept)
    if (version === undefined)
      needs.log.warn({}, 'the stored TUF root is damaged; back to the first one')
    return (version ?? 0) >= initialVersion ? kept : options.initialRoot
  }
  const nowMs = () => {
    const clockMs = needs.clock.nowMs()
    return isCarried ? believedMs(clockMs, signedMs) : clockMs
  }
  const current = (model: string) => {
    const isValid = validUntilMs !== undefined && nowMs() < validUntilMs
    return isValid ? (releases.get(model) ?? []) : []
  }
  return {
    refresh(abort) {
      running ??= refresh(abort).finally(() => {
        running = undefined
      })
      return running
    },
    newest: (model) => current(model).at(-1),
    current,
    get validUntilMs() {
      return validUntilMs
    },
  }
}

/** Top-level targets stand above a line's; a line speaks only for what is delegated to it (TUF 5.6.7). */
function releasesOf(
  { trusted }: TrustSession,
  model: string,
  log: TrustedReleasesNeeds['log'],
): readonly ReleaseTarget[] {
  const role = lineRole(model)
  const top = trusted.targets?.signed
  const line: Targets | undefined = trusted.getRole(role)?.signed
  const byPath = new Map(Object.entries(top?.targets ?? {}))
  for (const [path, file] of Object.entries(line?.targets ?? {})) {
    const [owner] = top?.delegations?.rolesForTarget(path) ?? []
    if (!byPath.has(path) && owner?.role === role) byPath.set(path, file)
  }
  const releases: ReleaseTarget[] = []
  for (const [path, file] of byPath) {
    const target = fromTufTarget(file)
    if (target?.model === model) releases.push(target)
    else if (target === undefined) log.warn({ path }, 'left out a target that is no release')
  }
  return releases.sort((a, b) => a.sequence - b.sequence)
}

function firstExpiryMs(
  { trusted }: TrustSession,
  { models, isCarried }: TrustedReleasesOptions,
): number {
  const files = [
    trusted.root,
    trusted.targets,
    ...(isCarried === true ? [] : [trusted.timestamp, trusted.snapshot]),
    ...models.map((model) => trusted.getRole(lineRole(model))),
  ]
  return Math.min(
    ...files.flatMap((file) => (file === undefined ? [] : [Date.parse(file.signed.expires)])),
  )
}

function differs(
  before: ReadonlyMap<string, Uint8Array>,
  after: ReadonlyMap<string, Uint8Array>,
): boolean {
  if (before.size !== after.size) return true
  return [...after].some(([role, bytes]) => before.get(role) !== bytes)
}
