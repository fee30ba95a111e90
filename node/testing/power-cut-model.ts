/**
 * What a disk may hold after the power has gone, by POSIX alone: bytes are safe once an fsync or fdatasync of the
 * file has returned, a name once an fsync of its folder has. Of everything else any part may be there.
 */
import {
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import type { Random } from '../base/index.ts'

/**
 * | loss | of what no barrier has covered, there is |
 * | --- | --- |
 * | kill | everything that was done; the process died, the system did not |
 * | nothing-kept | nothing |
 * | journal | all up to some moment, in the order of the calls; the last write is torn at some byte |
 * | sectors | any of the sectors (512 bytes or 4 KiB) and any of the names; the rest of a longer file is zeros or garbage |
 */
export const LOSSES = ['kill', 'nothing-kept', 'journal', 'sectors'] as const
export type Loss = (typeof LOSSES)[number]

interface Pending {
  /** Of the call, over the whole disk. */
  readonly order: number
  /** False while nobody was told that it is done: then it may be done in part under every loss. */
  isDone: boolean
}

interface Write extends Pending {
  readonly offset: number
  bytes: Uint8Array
}

interface Truncate extends Pending {
  readonly length: number
}

/** Several names at once: a rename is there as a whole or not at all. */
interface Renaming extends Pending {
  readonly names: readonly (readonly [string, Entry | undefined])[]
}

export interface FileEntry {
  readonly kind: 'file'
  durable: Uint8Array
  pending: (Write | Truncate)[]
}

export interface FolderEntry {
  readonly kind: 'folder'
  readonly durable: Map<string, Entry>
  /** As the processes see it now. */
  readonly live: Map<string, Entry>
  pending: Renaming[]
}

interface LinkEntry {
  readonly kind: 'link'
  readonly target: string
}

export type Entry = FileEntry | FolderEntry | LinkEntry

const SECTOR_BYTES = [512, 4_096] as const
const NO_BYTES = new Uint8Array()

export const newFile = (): FileEntry => ({ kind: 'file', durable: NO_BYTES, pending: [] })
export const newFolder = (): FolderEntry => ({
  kind: 'folder',
  durable: new Map(),
  live: new Map(),
  pending: [],
})

/** Everything that is in a real folder, all of it durable; names that `isLeftOut` are nobody's business. */
export function readFolder(path: string, isLeftOut: (name: string) => boolean): FolderEntry {
  const folder = newFolder()
  for (const entry of readdirSync(path, { withFileTypes: true })) {
    if (isLeftOut(entry.name)) continue
    const own = join(path, entry.name)
    const made: Entry = entry.isDirectory()
      ? readFolder(own, isLeftOut)
      : entry.isSymbolicLink()
        ? { kind: 'link', target: readlinkSync(own) }
        : { kind: 'file', durable: readFileSync(own), pending: [] }
    folder.durable.set(entry.name, made)
    folder.live.set(entry.name, made)
  }
  return folder
}

/** What a barrier covers is what was done when it was called; call the result when it has returned. */
export function barrier(entry: FileEntry | FolderEntry): () => void {
  if (entry.kind === 'file') {
    const covered = new Set(entry.pending.filter(({ isDone }) => isDone))
    return () => {
      for (const change of entry.pending) {
        if (covered.has(change)) entry.durable = changed(entry.durable, change)
      }
      entry.pending = entry.pending.filter((change) => !covered.has(change))
    }
  }
  const covered = new Set(entry.pending.filter(({ isDone }) => isDone))
  return () => {
    for (const { names } of entry.pending.filter((change) => covered.has(change))) {
      setNames(entry.durable, names)
    }
    entry.pending = entry.pending.filter((change) => !covered.has(change))
  }
}

export function setNames(
  map: Map<string, Entry>,
  names: readonly (readonly [string, Entry | undefined])[],
): void {
  for (const [name, entry] of names) {
    if (entry === undefined) map.delete(name)
    else map.set(name, entry)
  }
}

/** As every process sees it while the power is on. */
export function liveBytes(file: FileEntry): Uint8Array {
  return file.pending.reduce(changed, file.durable)
}

function changed(bytes: Uint8Array, change: Write | Truncate): Uint8Array {
  if ('length' in change) return resized(bytes, change.length)
  const end = change.offset + change.bytes.byteLength
  const next = end > bytes.byteLength ? resized(bytes, end) : bytes.slice()
  next.set(change.bytes, change.offset)
  return next
}

function resized(bytes: Uint8Array, length: number): Uint8Array {
  const next = new Uint8Array(length)
  next.set(bytes.subarray(0, length))
  return next
}

/**
 * Writes what is left after a cut into `into`, a folder that is not there yet. `alongside` is called for each real
 * folder that has survived, with its path in the disk, for files that the model does not know.
 */
export function writeSurvivors(
  root: FolderEntry,
  into: string,
  options: {
    readonly loss: Loss
    readonly random: Random
    readonly alongside?: (pathInDisk: string, survivor: string) => void
  },
): void {
  const { loss, random, alongside } = options
  const fate = fateOf(root, loss, random)
  const sectorBytes = SECTOR_BYTES[random.int(SECTOR_BYTES.length)] ?? 512
  const put = (folder: FolderEntry, path: string, pathInDisk: string) => {
    mkdirSync(path)
    alongside?.(pathInDisk, path)
    const names = new Map(folder.durable)
    for (const change of folder.pending) {
      if (fate(change) !== 'lost') setNames(names, change.names)
    }
    for (const [name, entry] of names) {
      const own = join(path, name)
      if (entry.kind === 'folder') put(entry, own, join(pathInDisk, name))
      else if (entry.kind === 'link') symlinkSync(entry.target, own)
      else
        writeFileSync(own, survivorOf(entry, { fate, loss, random, sectorBytes }), { mode: 0o600 })
    }
  }
  put(root, into, '')
}

type Fate = (change: Pending) => 'whole' | 'torn' | 'lost'

function fateOf(root: FolderEntry, loss: Loss, random: Random): Fate {
  const half = () => random.int(2) === 0
  if (loss === 'nothing-kept') return () => 'lost'
  if (loss === 'kill') {
    return ({ isDone }) => (isDone ? 'whole' : half() ? 'torn' : 'lost')
  }
  if (loss === 'sectors') return () => (half() ? 'lost' : half() ? 'torn' : 'whole')
  const orders = [...pendingOf(root)].map(({ order }) => order).sort((a, b) => a - b)
  const end = orders[random.int(orders.length + 1)] ?? Number.POSITIVE_INFINITY
  return ({ order }) => (order < end ? 'whole' : order === end ? 'torn' : 'lost')
}

function* pendingOf(entry: Entry, seen = new Set<Entry>()): Generator<Pending> {
  if (entry.kind === 'link' || seen.has(entry)) return
  seen.add(entry)
  yield* entry.pending
  if (entry.kind === 'file') return
  for (const child of [...entry.durable.values(), ...entry.live.values()])
    yield* pendingOf(child, seen)
}

function survivorOf(
  file: FileEntry,
  how: {
    readonly fate: Fate
    readonly loss: Loss
    readonly random: Random
    readonly sectorBytes: number
  },
): Uint8Array {
  const { fate, loss, random, sectorBytes } = how
  let bytes = file.durable
  for (const change of file.pending) {
    const end = fate(change)
    if (end === 'lost') continue
    if (end === 'whole' || 'length' in change) bytes = changed(bytes, change)
    else if (loss === 'sectors') bytes = withSectors(bytes, change, sectorBytes, random)
    else {
      const kept = random.int(change.bytes.byteLength + 1)
      bytes = changed(bytes, { ...change, bytes: change.bytes.subarray(0, kept) })
    }
  }
  return bytes
}

/** Each sector of its own; where a file grew over a lost one there are zeros, or what the flash held before. */
function withSectors(
  before: Uint8Array,
  change: Write,
  sectorBytes: number,
  random: Random,
): Uint8Array {
  const { offset, bytes } = change
  const after = changed(before, change)
  const isGarbage = random.int(4) === 0
  for (let at = 0; at < bytes.byteLength; ) {
    const end = Math.min(bytes.byteLength, at + sectorBytes - ((offset + at) % sectorBytes))
    if (random.int(2) === 0) {
      const old = before.subarray(offset + at, offset + end)
      after.set(isGarbage ? random.bytes(end - at) : new Uint8Array(end - at), offset + at)
      after.set(old, offset + at)
    }
    at = end
  }
  return after
}
