import { createHash, randomBytes } from 'node:crypto'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { CID } from 'multiformats/cid'
import * as Digest from 'multiformats/hashes/digest'
import { MIB, type Random, silentLog, systemClock, utf8 } from '../base/index.ts'
import {
  type Block,
  createStorage,
  type Storage,
  type StorageNeeds,
  type StorageOptions,
} from './index.ts'

export const RAW = 0x55
export const DAG_CBOR = 0x71

export function cidFor(bytes: Uint8Array, codec: number = RAW): CID {
  return CID.createV1(
    codec,
    Digest.create(0x12, new Uint8Array(createHash('sha256').update(bytes).digest())),
  )
}

export function block(content: string | Uint8Array, codec: number = RAW): Block {
  const bytes = typeof content === 'string' ? utf8(content) : content
  return { cid: cidFor(bytes, codec), bytes }
}

export function randomBlocks(count: number, bytes: number): Block[] {
  return Array.from({ length: count }, () => block(new Uint8Array(randomBytes(bytes))))
}

/** The same block for the same number, in every process; up to 8 KiB. */
export function numberedBlock(number: number): Block {
  return block(seededRandom(number).bytes(1 + (number % 8) * 1_024))
}

export async function withFolder<T>(run: (folder: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'ioex-storage-'))
  try {
    return await run(folder)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

export type Trial = Partial<StorageOptions> & Partial<StorageNeeds>

export function storageIn(folder: string, trial: Trial = {}): Storage {
  const { clock = systemClock, log = silentLog, files, ...options } = trial
  return createStorage(
    { clock, log, ...(files === undefined ? {} : { files }) },
    { folder, quotaBytes: 64 * MIB, ...options },
  )
}

/** Starts a storage in the folder, hands it in, and stops it whatever happens. */
export async function using<T>(
  folder: string,
  trial: Trial,
  run: (storage: Storage) => Promise<T>,
): Promise<T> {
  const storage = storageIn(folder, trial)
  await storage.start()
  try {
    return await run(storage)
  } finally {
    await storage.stop()
  }
}

export async function withStorage<T>(
  trial: Trial,
  run: (storage: Storage, folder: string) => Promise<T>,
): Promise<T> {
  return withFolder((folder) => using(folder, trial, (storage) => run(storage, folder)))
}

/** Paths of the segments, oldest first. */
export async function segmentPaths(folder: string): Promise<string[]> {
  const names = await readdir(join(folder, 'blocks'))
  return names
    .filter((name) => name.endsWith('.seg'))
    .sort()
    .map((name) => join(folder, 'blocks', name))
}

/** The same numbers for the same seed (mulberry32), so that a failure can be run again. */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return (mixed ^ (mixed >>> 14)) >>> 0
  }
  return {
    bytes: (length) => Uint8Array.from({ length }, () => next() & 0xff),
    int: (below) => Math.floor((next() / 2 ** 32) * below),
  }
}
