import { execFile } from 'node:child_process'
import { randomBytes, randomUUID } from 'node:crypto'
import {
  chmod,
  lstat,
  mkdir,
  readdir,
  readFile,
  readlink,
  symlink,
  writeFile,
} from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { LocalNetwork } from './network.ts'

const run = promisify(execFile)
const cli = join(import.meta.dirname, '../../node/cli/ioex.ts')
const SMALL_FILES = 300
const LARGE_FILE_BYTES = 8 * 1024 * 1024

export interface BackupResult {
  readonly files: number
  readonly bytes: number
  readonly snapshot: string
  /** Every name, byte, mode, time (to 2 microseconds) and link of the restored folder is that of the first. */
  readonly restoredEqual: boolean
}

/** A person befriends the seeds, backs a folder up, and restores it on another machine from 24 words. */
export async function backUpAndRestore(options: {
  readonly folder: string
  readonly network: LocalNetwork
}): Promise<BackupResult> {
  const { folder, network } = options
  const photos = join(folder, 'photos')
  await makeFolder(photos)
  const home = join(folder, 'person')
  const fresh = join(folder, 'person-again')
  const restored = join(folder, 'photos-again')
  const words = join(folder, 'words.txt')
  const common = ['--network', network.networkFile]

  const made = await ioex(['backup', 'init', '--home', home, '--show-phrase', ...common])
  await writeFile(words, String(made.phrase), { mode: 0o600 })
  const pairs = network.seeds.flatMap(({ ready }) => [
    '--pair',
    `${String(ready.contactAddress)}@${String(ready.knockUrl)}`,
  ])
  const code = ['--pairing-code-file', network.pairingCodeFile]
  const pushed = await ioex(['backup', 'push', photos, '--home', home, ...pairs, ...code])
  await ioex(['backup', 'init', '--home', fresh, '--phrase-file', words, ...common])
  await ioex(['backup', 'restore', 'latest', restored, '--home', fresh])
  const { id, files, bytes } = pushed.snapshot as { id: string; files: number; bytes: number }
  const [before, after] = await Promise.all([describeFolder(photos), describeFolder(restored)])
  return {
    files,
    bytes,
    snapshot: id,
    restoredEqual: areEqual(before, after),
  }
}

async function ioex(args: readonly string[]): Promise<Record<string, unknown>> {
  const { stdout } = await run(process.execPath, [cli, ...args, '--json'])
  return JSON.parse(stdout) as Record<string, unknown>
}

async function makeFolder(folder: string): Promise<void> {
  for (let number = 0; number < SMALL_FILES; number++) {
    const album = join(folder, `album ${number % 7}`)
    await mkdir(album, { recursive: true })
    const name = join(album, `${number} ${['naïve', 'снимок', '写真', 'صورة'][number % 4]}.txt`)
    await writeFile(name, `${randomUUID()}\n`.repeat(number))
    if (number % 5 === 0) await chmod(name, 0o600)
  }
  await writeFile(join(folder, 'film.bin'), randomBytes(LARGE_FILE_BYTES))
  await symlink('film.bin', join(folder, 'latest film'))
}

interface Described {
  /** Name, kind, mode, and content or link target. */
  readonly text: string
  readonly mtimeNs: bigint
}

async function describeFolder(folder: string): Promise<Described[]> {
  const entries: Described[] = []
  for (const name of (await readdir(folder, { recursive: true })).sort()) {
    const path = join(folder, name)
    const { mode, mtimeNs, ...stats } = await statsOf(path)
    const text = stats.isLink
      ? `${name} -> ${await readlink(path)}`
      : stats.isFolder
        ? `${name}/ ${mode}`
        : `${name} ${mode} ${(await readFile(path)).toString('base64')}`
    entries.push({ text, mtimeNs })
  }
  return entries
}

async function statsOf(path: string) {
  const stats = await lstat(path, { bigint: true })
  return {
    mode: stats.mode,
    mtimeNs: stats.mtimeNs,
    isLink: stats.isSymbolicLink(),
    isFolder: stats.isDirectory(),
  }
}

/** Node sets times with a double, which is exact to a microsecond or two in this century. */
const TIME_TOLERANCE_NS = 2_000n

function areEqual(before: readonly Described[], after: readonly Described[]): boolean {
  return (
    before.length === after.length &&
    before.every((entry, at) => {
      const other = after[at]
      if (other === undefined || other.text !== entry.text) return false
      const apart = entry.mtimeNs - other.mtimeNs
      return apart <= TIME_TOLERANCE_NS && -apart <= TIME_TOLERANCE_NS
    })
  )
}
