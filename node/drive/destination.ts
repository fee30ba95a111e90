import { constants } from 'node:fs'
import {
  chmod,
  lstat,
  lutimes,
  mkdir,
  open,
  readlink,
  realpath,
  rename,
  rm,
  symlink,
  utimes,
} from 'node:fs/promises'
import { hash } from 'node:crypto'
import { dirname, join } from 'node:path'
import { codeOf, IoexError } from '../base/index.ts'
import type { Entry } from './entry.ts'
import { notOurs } from './index-tree.ts'
import { MAX_KNOWN_FOLDERS } from './limits.ts'

/** Twice what utimes(2) loses through a double: 240 ns at today's dates. */
const TIME_TOLERANCE_NS = 2_000n
const OWNER_ALL = 0o700

/**
 * The folder into which a snapshot is written. Nothing is ever written through a link: every folder on the way
 * to an entry is looked at first, those that were there before and those that the snapshot brings alike.
 * (Whoever else may write into the folder meanwhile can still put a link into the way; Node has no openat.)
 */
export interface Destination {
  folder(entry: Entry): Promise<void>
  /** Whether the file is there already; throws `destination-occupied` when another one is. */
  has(entry: Entry): Promise<boolean>
  file(entry: Entry, content: AsyncIterable<Uint8Array>, signal?: AbortSignal): Promise<void>
  link(entry: Entry): Promise<void>
  /** Mode and time of a folder, after its content. */
  finish(folder: Entry): Promise<void>
}

export async function openDestination(folder: string): Promise<Destination> {
  await mkdir(folder, { recursive: true })
  const top = await realpath(folder)
  const known = new Set<string>([top])

  /** The place of an entry, when everything above it is a folder. */
  const placeOf = async (entry: Entry): Promise<string> => {
    const place = join(top, entry.path)
    const unknown: string[] = []
    for (let above = dirname(place); !known.has(above); above = dirname(above)) unknown.push(above)
    for (const above of unknown.reverse()) await mustBeFolder(above)
    return place
  }
  const mustBeFolder = async (place: string) => {
    const stats = await lstat(place).catch((thrown: unknown) => {
      // A snapshot names every folder before what is in it.
      throw codeOf(thrown) === 'ENOENT' ? notOurs() : thrown
    })
    if (!stats.isDirectory()) throw occupied(place)
    if (known.size >= MAX_KNOWN_FOLDERS) {
      known.clear()
      known.add(top)
    }
    known.add(place)
  }

  return {
    async folder(entry) {
      const place = await placeOf(entry)
      try {
        // Its own mode comes last; until then nobody else looks in.
        await mkdir(place, OWNER_ALL)
      } catch (thrown) {
        if (codeOf(thrown) !== 'EEXIST') throw thrown
        await mustBeFolder(place)
        const { mode } = await lstat(place)
        if ((mode & OWNER_ALL) !== OWNER_ALL) await chmod(place, (mode & 0o7777) | OWNER_ALL)
      }
    },
    async has(entry) {
      const place = await placeOf(entry)
      const stats = await lstat(place, { bigint: true }).catch((thrown: unknown) => {
        if (codeOf(thrown) === 'ENOENT') return undefined
        throw thrown
      })
      if (stats === undefined) return false
      const apart = stats.mtimeNs - entry.mtimeNs
      const sameTime = apart < TIME_TOLERANCE_NS && apart > -TIME_TOLERANCE_NS
      if (!stats.isFile() || Number(stats.size) !== entry.size || !sameTime) throw occupied(place)
      if (Number(stats.mode & 0o7777n) !== entry.mode) await chmod(place, entry.mode)
      return true
    },
    async file(entry, content, signal) {
      const place = await placeOf(entry)
      // A name of its own length, as names may be as long as the file system allows; known again after a crash.
      const part = join(dirname(place), `.ioex-${hash('sha256', entry.path).slice(0, 24)}.part`)
      await rm(part, { force: true })
      try {
        await writePart(part, entry, content, signal)
        await rename(part, place)
      } catch (thrown) {
        await rm(part, { force: true })
        throw thrown
      }
    },
    async link(entry) {
      const place = await placeOf(entry)
      try {
        await symlink(entry.target ?? '', place)
      } catch (thrown) {
        if (codeOf(thrown) !== 'EEXIST') throw thrown
        const there = await readlink(place).catch(() => undefined)
        if (there !== entry.target) throw occupied(place)
      }
      await lutimes(place, secondsOf(entry), secondsOf(entry))
    },
    async finish(entry) {
      const place = await placeOf(entry)
      // What is a link by now is somebody else's: changing it would change what it points to.
      if (!(await lstat(place)).isDirectory()) throw occupied(place)
      await utimes(place, secondsOf(entry), secondsOf(entry))
      await chmod(place, entry.mode)
    },
  }
}

async function writePart(
  part: string,
  entry: Entry,
  content: AsyncIterable<Uint8Array>,
  signal: AbortSignal | undefined,
): Promise<void> {
  const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW
  const handle = await open(part, flags, 0o600)
  try {
    let written = 0
    for await (const bytes of content) {
      signal?.throwIfAborted()
      written += bytes.byteLength
      if (written > entry.size) throw notOurs()
      await handle.writeFile(bytes)
    }
    if (written !== entry.size) throw notOurs()
    await handle.chmod(entry.mode)
    await handle.utimes(secondsOf(entry), secondsOf(entry))
    // Before it gets its name: a file that has it is whole, after a power cut too.
    await handle.datasync()
  } finally {
    await handle.close()
  }
}

/** Node sets times with a double, which is up to 240 ns off at today's dates. */
function secondsOf(entry: Entry): number {
  const seconds = entry.mtimeNs / 1_000_000_000n
  return Number(seconds) + Number(entry.mtimeNs - seconds * 1_000_000_000n) / 1e9
}

function occupied(place: string): IoexError {
  return new IoexError('destination-occupied', `${place} is there already and is something else`, {
    blame: 'caller',
    fix: 'Restore into an empty folder.',
  })
}
