import { isUtf8 } from 'node:buffer'
import { type BigIntStats, constants } from 'node:fs'
import { lstat, open, readdir, readlink } from 'node:fs/promises'
import { join } from 'node:path'
import { codeOf, fromUtf8, IoexError } from '../base/index.ts'
import type { EntryKind } from './entry.ts'
import type { Omission } from './types.ts'

/** What the file system says of one entry, before its content is read. */
export interface Found {
  readonly path: string
  readonly kind: EntryKind
  readonly mode: number
  readonly mtimeNs: bigint
  readonly size: number
  readonly target?: string
  /** Changes whenever content, mode or name of the file may have: ctime, inode, device. */
  readonly stamp: string
  /** Unix milliseconds of the last change of content or mode. */
  readonly changedMs: number
}

/**
 * Every entry below a folder, depth first, names in byte order, so that the same folder gives the same
 * sequence everywhere. Links are not followed. What cannot be read is told to `omit` and left out.
 */
export async function* scan(
  folder: string,
  omit: (omission: Omission) => void,
  signal: AbortSignal | undefined,
): AsyncGenerator<Found> {
  const top = await lstat(folder).catch(() => undefined)
  if (top === undefined || !top.isDirectory()) {
    throw new IoexError('folder-missing', `${folder} is not a folder`, {
      blame: 'caller',
      fix: 'name the folder that shall be backed up',
    })
  }
  yield* scanBelow(folder, '', omit, signal)
}

async function* scanBelow(
  folder: string,
  prefix: string,
  omit: (omission: Omission) => void,
  signal: AbortSignal | undefined,
): AsyncGenerator<Found> {
  signal?.throwIfAborted()
  const names = await namesOf(join(folder, prefix), prefix, omit)
  for (const name of names) {
    const path = prefix === '' ? name : `${prefix}/${name}`
    const stats = await lstat(join(folder, path), { bigint: true }).catch((thrown: unknown) => {
      omit({ path, reason: codeOf(thrown) === 'ENOENT' ? 'changed-while-reading' : 'unreadable' })
      return undefined
    })
    if (stats === undefined) continue
    const found = await describe(join(folder, path), path, stats, omit)
    if (found === undefined) continue
    yield found
    if (found.kind === 'folder') yield* scanBelow(folder, path, omit, signal)
  }
}

async function namesOf(
  folder: string,
  prefix: string,
  omit: (omission: Omission) => void,
): Promise<string[]> {
  let raw: Buffer[]
  try {
    raw = await readdir(folder, { encoding: 'buffer' })
  } catch (thrown) {
    omit({
      path: prefix,
      reason: codeOf(thrown) === 'ENOENT' ? 'changed-while-reading' : 'unreadable',
    })
    return []
  }
  const names: string[] = []
  for (const bytes of raw.sort(Buffer.compare)) {
    const name = textOf(bytes)
    if (name !== undefined) names.push(name)
    else omit({ path: join(prefix, bytes.toString('latin1')), reason: 'name-not-utf8' })
  }
  return names
}

/** Undefined for a name in another encoding, which cannot be told apart from a damaged one. */
function textOf(bytes: Uint8Array): string | undefined {
  return isUtf8(bytes) ? fromUtf8(bytes) : undefined
}

async function describe(
  where: string,
  path: string,
  stats: BigIntStats,
  omit: (omission: Omission) => void,
): Promise<Found | undefined> {
  const common = {
    path,
    mode: Number(stats.mode & 0o7777n),
    mtimeNs: stats.mtimeNs,
    stamp: `${stats.ctimeNs}.${stats.ino}.${stats.dev}`,
    changedMs: Number(stats.ctimeMs),
  }
  if (stats.isDirectory()) return { ...common, kind: 'folder', size: 0 }
  if (stats.isFile()) return { ...common, kind: 'file', size: Number(stats.size) }
  if (stats.isSymbolicLink()) {
    try {
      const target = textOf(await readlink(where, { encoding: 'buffer' }))
      if (target !== undefined) return { ...common, kind: 'link', size: 0, target }
      omit({ path, reason: 'name-not-utf8' })
      return undefined
    } catch (thrown) {
      omit({ path, reason: codeOf(thrown) === 'ENOENT' ? 'changed-while-reading' : 'unreadable' })
      return undefined
    }
  }
  omit({ path, reason: 'special-file' })
  return undefined
}

const READ_BYTES = 1024 * 1024

/**
 * The bytes of a file as it was found; throws when its size or time changed meanwhile, since half of the old
 * and half of the new is neither.
 */
export async function* readFound(
  folder: string,
  found: Found,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array> {
  // Should a pipe have taken its place meanwhile, opening it must not wait for somebody who writes.
  const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK
  const handle = await open(join(folder, found.path), flags)
  try {
    let read = 0
    for (;;) {
      signal?.throwIfAborted()
      const buffer = new Uint8Array(Math.min(READ_BYTES, found.size - read + 1))
      const { bytesRead } = await handle.read(buffer, 0, buffer.byteLength, read)
      if (bytesRead === 0) break
      read += bytesRead
      if (read > found.size) break
      yield buffer.subarray(0, bytesRead)
    }
    const now = await handle.stat({ bigint: true })
    if (read !== found.size || now.mtimeNs !== found.mtimeNs)
      throw new ChangedWhileReading(found.path)
  } finally {
    await handle.close()
  }
}

export class ChangedWhileReading extends Error {
  readonly path: string
  constructor(path: string) {
    super(`${path} changed while it was read`)
    this.path = path
  }
}
