import { CID } from 'multiformats/cid'
import { IoexError } from '../base/index.ts'
import type { TreeRef } from '../chunks/index.ts'
import { PATH_MAX_BYTES } from './limits.ts'

export type EntryKind = 'folder' | 'file' | 'link'

/** Where a file's bytes are: nothing for an empty one, a range of the page's bundle, or a recipe of its own. */
export type Content =
  | { readonly at: 'bundle'; readonly offset: number }
  | { readonly at: 'tree'; readonly tree: TreeRef }

/** One line of a snapshot. */
export interface Entry {
  /** Relative to the folder, `/` between names, UTF-8 as the file system gave it. */
  readonly path: string
  readonly kind: EntryKind
  /** Permission bits, 0o7777. */
  readonly mode: number
  readonly mtimeNs: bigint
  /** Bytes; 0 for folders and links. */
  readonly size: number
  /** What a symbolic link says, not resolved. */
  readonly target?: string
  readonly content?: Content
}

const KINDS: readonly EntryKind[] = ['folder', 'file', 'link']

function damaged(what: string): IoexError {
  return new IoexError('snapshot-damaged', `an entry of the snapshot has ${what}`, {
    blame: 'peer',
    fix: 'restore an earlier snapshot, or from other peers',
  })
}

/**
 * A path of a snapshot that may be written below the destination: relative, no empty, `.` or `..` part, no NUL,
 * no backslash on systems where that separates.
 */
function assertSafePath(path: string): void {
  const parts = path.split(process.platform === 'win32' ? /[\\/]/ : '/')
  const wrong =
    path === '' ||
    path.includes('\0') ||
    Buffer.byteLength(path) > PATH_MAX_BYTES ||
    parts.some((part) => part === '' || part === '.' || part === '..') ||
    (process.platform === 'win32' && parts.some((part) => part.includes(':')))
  if (wrong) {
    throw new IoexError(
      'path-unsafe',
      'the snapshot names a path outside the folder it was taken of',
      {
        blame: 'peer',
        fix: 'do not restore this snapshot; it was not made by this program',
      },
    )
  }
}

/** As dag-cbor values: arrays, since a page repeats them a hundred times. */
export function entryToValue(entry: Entry): unknown[] {
  const seconds = entry.mtimeNs / 1_000_000_000n
  const value: unknown[] = [
    entry.path,
    KINDS.indexOf(entry.kind),
    entry.mode,
    Number(seconds),
    Number(entry.mtimeNs - seconds * 1_000_000_000n),
    entry.size,
  ]
  if (entry.kind === 'link') value.push(entry.target ?? '')
  if (entry.content?.at === 'bundle') value.push(entry.content.offset)
  if (entry.content?.at === 'tree') value.push(entry.content.tree.cid, entry.content.tree.key)
  return value
}

export function entryFromValue(value: unknown): Entry {
  if (!Array.isArray(value)) throw damaged('a foreign form')
  const [path, kindNumber, mode, seconds, nanoseconds, size, first, second] = value as unknown[]
  if (typeof path !== 'string') throw damaged('no path')
  assertSafePath(path)
  const kind = typeof kindNumber === 'number' ? KINDS[kindNumber] : undefined
  if (kind === undefined) throw damaged('an unknown kind')
  const common = {
    path,
    kind,
    mode: wholeNumber(mode, 0o7777),
    mtimeNs:
      BigInt(wholeNumber(seconds, 2 ** 48, -(2 ** 48))) * 1_000_000_000n +
      BigInt(wholeNumber(nanoseconds, 999_999_999, -999_999_999)),
    size: wholeNumber(size, Number.MAX_SAFE_INTEGER),
  }
  if (kind === 'link') {
    if (typeof first !== 'string' || first.includes('\0')) throw damaged('a bad link target')
    return { ...common, target: first }
  }
  if (kind === 'folder' || common.size === 0) return common
  if (typeof first === 'number') {
    return { ...common, content: { at: 'bundle', offset: wholeNumber(first, 2 ** 40) } }
  }
  const cid = CID.asCID(first)
  if (cid === null || !(second instanceof Uint8Array) || second.byteLength !== 32) {
    throw damaged('no content')
  }
  return { ...common, content: { at: 'tree', tree: { cid, key: second } } }
}

function wholeNumber(value: unknown, max: number, min = 0): number {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= min && value <= max) {
    return value
  }
  throw damaged('a number out of range')
}
