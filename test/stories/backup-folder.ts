import { createCipheriv, createHash } from 'node:crypto'
import { createReadStream, createWriteStream } from 'node:fs'
import { chmod, lstat, lutimes, mkdir, readdir, readlink, symlink } from 'node:fs/promises'
import { utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'

/** One entry of a folder, as two folders are compared by. */
export interface Described {
  readonly kind: 'folder' | 'file' | 'link'
  readonly mode: number
  /** Whole microseconds, which is what a restore keeps. */
  readonly mtimeUs: number
  readonly content: string
}

const NAMES = [
  'grüße',
  'Ωμέγα',
  '東京の写真',
  'صور',
  'снимок',
  'चित्र',
  '🏞️ view',
  'two words',
  "it's",
]
const MODES = [0o644, 0o600, 0o755, 0o444, 0o640]
const BIG_BYTES = 200 * 1024 * 1024

/** The same bytes for the same seed, everywhere (AES-128-CTR as the generator). */
function createBytes(seed: string): (length: number) => Buffer {
  const key = createHash('sha256').update(seed).digest().subarray(0, 16)
  const cipher = createCipheriv('aes-128-ctr', key, Buffer.alloc(16))
  return (length) => cipher.update(Buffer.alloc(length))
}

/**
 * A folder as people have them: at least 2,000 files in nested folders, a tenth of them text that shrinks,
 * empty ones, links (also broken ones and ones that lead outside), several modes and times, names in nine
 * scripts, a name of 255 bytes and one file of 200 MiB that does not shrink.
 */
export async function makeFolder(top: string, seed: string): Promise<number> {
  const bytes = createBytes(seed)
  const number = (below: number) => bytes(4).readUInt32BE() % below
  let files = 0
  const folders: string[] = []
  const file = async (path: string, content: Uint8Array | string) => {
    await writeFile(path, content)
    await chmod(path, MODES[number(MODES.length)] ?? 0o644)
    const seconds = 1_000_000_000 + number(700_000_000) + number(1_000_000) / 1e6
    await utimes(path, seconds, seconds)
    files++
  }
  for (let at = 0; at < 60; at++) {
    const parent = at < 8 ? top : (folders[number(folders.length)] ?? top)
    const folder = join(parent, `${NAMES[at % NAMES.length] ?? ''} ${at}`)
    await mkdir(folder)
    folders.push(folder)
    for (let each = 0; each < 35; each++) {
      const path = join(folder, `${NAMES[number(NAMES.length)] ?? ''}-${each}.dat`)
      if (each % 10 === 0) await file(path, `line ${at}\n`.repeat(number(5_000)))
      else if (each % 17 === 0) await file(path, '')
      else await file(path, bytes(1 + number(each % 12 === 0 ? 300_000 : 20_000)))
    }
    const link = join(folder, 'link')
    await symlink(at % 3 === 0 ? '../nowhere' : at % 3 === 1 ? '/etc/hostname' : '.', link)
    await lutimes(link, 1_600_000_000 + at, 1_600_000_000 + at)
  }
  await mkdir(join(top, 'empty folder'))
  await file(join(top, 'é'.repeat(127) + 'x'), 'a long name')
  const big = join(top, 'film.bin')
  const pieces = function* () {
    for (let done = 0; done < BIG_BYTES; done += 1024 * 1024) yield bytes(1024 * 1024)
  }
  await pipeline(Readable.from(pieces()), createWriteStream(big))
  await utimes(big, 1_700_000_000.25, 1_700_000_000.25)
  files++
  // Deepest first, as writing into a folder changes its time.
  for (const [at, folder] of folders.toReversed().entries()) {
    await chmod(folder, at % 7 === 0 ? 0o700 : 0o755)
    await utimes(folder, 1_500_000_000 + at, 1_500_000_000 + at)
  }
  return files
}

export async function describeFolder(top: string): Promise<Map<string, Described>> {
  const found = new Map<string, Described>()
  const walk = async (below: string) => {
    for (const name of await readdir(join(top, below))) {
      const path = below === '' ? name : `${below}/${name}`
      const where = join(top, path)
      const stats = await lstat(where, { bigint: true })
      const kind = stats.isDirectory() ? 'folder' : stats.isSymbolicLink() ? 'link' : 'file'
      const content =
        kind === 'link' ? await readlink(where) : kind === 'file' ? await digestOf(where) : ''
      const mtimeUs = Math.round(Number(stats.mtimeNs % 10n ** 15n) / 1000)
      found.set(path, { kind, mode: Number(stats.mode & 0o7777n), mtimeUs, content })
      if (kind === 'folder') await walk(path)
    }
  }
  await walk('')
  return found
}

async function digestOf(path: string): Promise<string> {
  const digest = createHash('sha256')
  await pipeline(createReadStream(path), digest)
  return digest.digest('hex')
}
