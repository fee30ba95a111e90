/** Folders become images, the same bytes for the same folder: fixed times, owners, names and seeds. */
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { rm, stat, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { MIB } from '@ioex/node/base'
import { command } from './measured.ts'
import type { ImageFile } from './types.ts'

/** 2024-01-01: any fixed time will do, as image builders set one (SOURCE_DATE_EPOCH). */
const EPOCH_S = 1_704_067_200
const EXT4_ID = '1b3f0d2e-6c52-4a5e-9d0a-5f6e2c9b7a10'
const EXT4_HASH_SEED = '7c0a8f64-2f0b-4d3c-8f55-0e6f4f1d2b33'
const EXT4_BLOCK_BYTES = 4_096
const EXT4_ROOT_INODE = 2
/** Below it numbers are kept for the file system's own files. */
const EXT4_FIRST_INODE = 11
/** A file system without room to spare is not what devices have. */
const EXT4_SPARE_SHARE = 0.25
const EXT4_STEP_MIB = 32
/** Manuals, translations and the like, which no device carries. */
const LEFT_OUT = [
  'usr/share/doc',
  'usr/share/man',
  'usr/share/info',
  'usr/share/locale',
  'usr/share/lintian',
]

export async function slim(folder: string): Promise<void> {
  for (const path of LEFT_OUT) await rm(join(folder, path), { recursive: true, force: true })
}

export async function makeTar(folder: string, path: string): Promise<void> {
  await command('tar', [
    '--create',
    `--file=${path}`,
    `--directory=${folder}`,
    '--format=gnu',
    '--sort=name',
    `--mtime=@${EPOCH_S}`,
    '--owner=0',
    '--group=0',
    '--numeric-owner',
    '.',
  ])
}

/** Both versions have the same size, as partitions do; `sizeMib` is that. */
export async function makeExt4(folder: string, path: string, sizeMib: number): Promise<void> {
  await command('find', [folder, '-exec', 'touch', '-h', '-d', `@${EPOCH_S}`, '{}', '+'])
  await command(
    'mke2fs',
    [
      '-q',
      ...['-t', 'ext4', '-b', String(EXT4_BLOCK_BYTES), '-d', folder, '-U', EXT4_ID],
      ...['-E', `hash_seed=${EXT4_HASH_SEED},root_owner=0:0`],
      path,
      `${sizeMib}M`,
    ],
    {
      env: {
        E2FSPROGS_FAKE_TIME: String(EPOCH_S),
        PATH: `${process.env.PATH ?? ''}:/usr/sbin:/sbin`,
      },
    },
  )
  await fixChangeTimes(path)
}

/** mke2fs takes over the change time of each file, which nobody can set; so it is set in the image. */
async function fixChangeTimes(path: string): Promise<void> {
  const env = { PATH: `${process.env.PATH ?? ''}:/usr/sbin:/sbin` }
  const head = await command('debugfs', ['-R', 'stats -h', path], { env })
  const count = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+)$`, 'm').exec(head)?.[1])
  // mke2fs gives the numbers out in order, so what is in use stands at the front.
  const used = count('Inode count') - count('Free inodes')
  if (!Number.isInteger(used)) throw new Error(`debugfs does not tell how many inodes ${path} has`)
  const script = join(dirname(path), 'debugfs.txt')
  const lines = [`set_inode_field <${EXT4_ROOT_INODE}> ctime @${EPOCH_S}`]
  for (let inode = EXT4_FIRST_INODE; inode <= used; inode++) {
    lines.push(`set_inode_field <${inode}> ctime @${EPOCH_S}`)
  }
  await writeFile(script, `${lines.join('\n')}\n`)
  await command('debugfs', ['-w', '-f', script, path], { env })
  await rm(script)
}

export async function ext4SizeMib(folder: string): Promise<number> {
  const blocks = await command('du', ['--summarize', '--block-size=1M', folder])
  const mib = Number.parseInt(blocks, 10) * (1 + EXT4_SPARE_SHARE)
  return Math.ceil(mib / EXT4_STEP_MIB) * EXT4_STEP_MIB
}

export async function makeSquashfs(folder: string, path: string): Promise<void> {
  await command('mksquashfs', [
    folder,
    path,
    ...['-noappend', '-no-progress', '-quiet', '-all-root', '-no-xattrs', '-processors', '2'],
    ...['-comp', 'zstd', '-Xcompression-level', '19', '-b', '128K'],
    ...['-all-time', String(EPOCH_S), '-mkfs-time', String(EPOCH_S)],
  ])
}

export async function describeFile(path: string): Promise<ImageFile> {
  const hash = createHash('sha256')
  await pipeline(createReadStream(path, { highWaterMark: MIB }), hash)
  return { path, bytes: (await stat(path)).size, sha256: hash.digest('hex') }
}
