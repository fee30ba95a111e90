import { createHash, type Hash } from 'node:crypto'
import type { TargetFile } from '@tufjs/models'
import {
  type AbortOptions,
  accepted,
  type Clock,
  equalBytes,
  type Log,
  type Result,
  refused,
} from '../base/index.ts'
import { DELEGATIONS_MAX } from './limits.ts'
import {
  type FetchFile,
  type RefreshRefusal,
  RefreshRefused,
  startSession,
  type TrustedFiles,
  type TrustSession,
  updateRole,
  updateTopLevel,
} from './trust-session.ts'
import { versionOfRoot } from './tuf-file.ts'
import { firmwareError } from './types.ts'

export interface TufClientNeeds {
  readonly files: TrustedFiles
  /**
   * A file of the repository, such as `3.root.json`. Undefined where there is none; throws when that cannot be
   * told. Must not read more than `maxBytes` + 1 bytes.
   */
  readonly fetchMetadata: (
    name: string,
    maxBytes: number,
    options: AbortOptions,
  ) => Promise<Uint8Array | undefined>
  readonly clock: Pick<Clock, 'nowMs'>
  readonly log: Pick<Log, 'warn'>
}

export type TufRefusal =
  | RefreshRefusal
  /** `init` was not called, or its root was removed. */
  | 'root-missing'
  /** `init` was called before, with another root: only the repository itself may replace it. */
  | 'root-present'
  /** No role that may speak for the path names it. */
  | 'target-missing'

/** What a trusted role says of a target. */
export interface TufTarget {
  readonly path: string
  /** Where it lies in the repository: with the hash in front of its name when snapshots are consistent. */
  readonly repositoryPath: string
  readonly bytes: number
  /** Hexadecimal digits, by algorithm. */
  readonly hashes: Readonly<Record<string, string>>
}

/**
 * The client of the TUF specification for any repository whose files are within the limits of this room, and any
 * target. One call at a time.
 */
export interface TufClient {
  /** Trusts this root from now on; asks nobody. Throws metadata-damaged when it is none. */
  init(root: Uint8Array): Promise<Result<undefined, TufRefusal>>
  /** Throws what `fetchMetadata` and the files throw. Every step that verified is kept, also when a later one fails. */
  refresh(abort?: AbortOptions): Promise<Result<undefined, TufRefusal>>
  /** As of the last refresh, which it makes when there was none. */
  find(path: string, abort?: AbortOptions): Promise<Result<TufTarget, TufRefusal>>
}

export function createTufClient(needs: TufClientNeeds): TufClient {
  const { files, clock, log } = needs
  let session: TrustSession | undefined
  const fetchFile =
    (abort: AbortOptions): FetchFile =>
    (name, maxBytes) => {
      abort.signal?.throwIfAborted()
      return needs.fetchMetadata(name, maxBytes, abort)
    }

  /** A refusal as a value, with what tuf-js said about it in the log. */
  const asResult = async <T>(work: () => Promise<Result<T, TufRefusal>>) => {
    try {
      return await work()
    } catch (thrown) {
      if (!(thrown instanceof RefreshRefused)) throw thrown
      log.warn({ reason: thrown.reason }, thrown.message)
      return refused(thrown.reason)
    }
  }
  const refresh = async (abort: AbortOptions): Promise<Result<TrustSession, TufRefusal>> => {
    session = undefined
    const root = await files.get('root')
    if (root === undefined) return refused('root-missing')
    if (versionOfRoot(root) === undefined) throw noRoot('the stored root.json', 'local')
    const started = startSession(root, files, { nowMs: clock.nowMs(), isCarried: false })
    await updateTopLevel(started, fetchFile(abort))
    session = started
    return accepted(started)
  }

  return {
    async init(root) {
      if (versionOfRoot(root) === undefined) throw noRoot('this file', 'caller')
      const present = await files.get('root')
      if (present === undefined) await files.set('root', root)
      else if (!equalBytes(present, root)) return refused('root-present')
      return accepted(undefined)
    },
    refresh: (abort = {}) =>
      asResult(async () => {
        const refreshed = await refresh(abort)
        return refreshed.ok ? accepted(undefined) : refreshed
      }),
    find: (path, abort = {}) =>
      asResult(async () => {
        const refreshed = session === undefined ? await refresh(abort) : accepted(session)
        if (!refreshed.ok) return refreshed
        const file = await findTarget(refreshed.value, path, fetchFile(abort))
        if (file === undefined) return refused('target-missing')
        return accepted(targetOf(file, refreshed.value.trusted.root.signed.consistentSnapshot))
      }),
  }
}

/**
 * TUF 5.6.7: from the top down in the order of trust. A role is verified anew under each delegator that leads to
 * it: what one of them vouches for, another need not.
 */
async function findTarget(
  session: TrustSession,
  path: string,
  fetchFile: FetchFile,
): Promise<TargetFile | undefined> {
  const toVisit = [{ role: 'targets', delegator: 'root' }]
  const visited = new Set<string>()
  for (let next = toVisit.pop(); next !== undefined; next = toVisit.pop()) {
    const { role, delegator } = next
    if (visited.has(role)) continue
    if (visited.size > DELEGATIONS_MAX) return undefined
    visited.add(role)
    // The refresh has just verified the one on top.
    if (role !== 'targets') await updateRole(session, role, delegator, fetchFile)
    const signed = session.trusted.getRole(role)?.signed
    if (signed === undefined) continue
    if (Object.hasOwn(signed.targets, path)) return signed.targets[path]
    const below: typeof toVisit = []
    for (const child of signed.delegations?.rolesForTarget(path) ?? []) {
      below.push({ role: child.role, delegator: role })
      if (!child.terminating) continue
      toVisit.length = 0
      break
    }
    toVisit.push(...below.reverse())
  }
  return undefined
}

function targetOf(file: TargetFile, isConsistent: boolean): TufTarget {
  const { path, length, hashes } = file
  const slash = path.lastIndexOf('/') + 1
  const [hash] = Object.values(hashes)
  const repositoryPath =
    isConsistent && hash !== undefined
      ? `${path.slice(0, slash)}${hash}.${path.slice(slash)}`
      : path
  return { path, repositoryPath, bytes: length, hashes: { ...hashes } }
}

/** Those that nobody can find a second file for. */
const TARGET_HASHES = ['sha256', 'sha384', 'sha512']

/**
 * Passes the bytes on and throws target-damaged at the first one too many, or at the end when they are not those
 * that were signed: what was passed on counts for nothing until it has ended.
 */
export async function* verifiedTarget(
  target: TufTarget,
  source: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array, void, undefined> {
  const digests = new Map<string, Hash>()
  for (const algorithm of Object.keys(target.hashes)) {
    if (!TARGET_HASHES.includes(algorithm)) throw damaged(target, `is hashed with ${algorithm}`)
    digests.set(algorithm, createHash(algorithm))
  }
  if (digests.size === 0) throw damaged(target, 'has no hash')
  let bytes = 0
  for await (const part of source) {
    bytes += part.byteLength
    if (bytes > target.bytes) throw damaged(target, `has more than ${target.bytes} bytes`)
    for (const digest of digests.values()) digest.update(part)
    yield part
  }
  if (bytes !== target.bytes) throw damaged(target, `has ${bytes} of ${target.bytes} bytes`)
  for (const [algorithm, digest] of digests) {
    if (digest.digest('hex') !== target.hashes[algorithm]) {
      throw damaged(target, `has another ${algorithm} than was signed`)
    }
  }
}

function damaged({ path }: TufTarget, what: string) {
  return firmwareError('target-damaged', `the target ${path} ${what}`, {
    blame: 'peer',
    fix: 'Fetch it from another place, or tell whoever runs the repository.',
  })
}

function noRoot(which: string, blame: 'caller' | 'local') {
  return firmwareError('metadata-damaged', `${which} is no TUF root that signed itself`, {
    blame,
    fix: 'Ask whoever runs the repository for its root.json.',
  })
}
