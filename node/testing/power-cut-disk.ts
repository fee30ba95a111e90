/**
 * Disks of real folders that lose their power. Every change that JavaScript of this process makes below such a
 * folder is seen, whichever module makes it, as the functions of `node:fs` are replaced for all of them; one that
 * is not modelled throws. What native code writes is not seen: SQLite's files, which are taken over as they are at
 * the cut (its transactions are whole between two calls, and synced one by one). `unseen()` compares the real
 * folder with the model, so that nothing else goes by.
 */
import fs from 'node:fs'
import type { FileHandle } from 'node:fs/promises'
import { syncBuiltinESMExports } from 'node:module'
import { basename, dirname, join, relative, resolve, sep } from 'node:path'
import type { Random } from '../base/index.ts'
import {
  barrier,
  type Entry,
  type FileEntry,
  type FolderEntry,
  liveBytes,
  type Loss,
  newFile,
  newFolder,
  readFolder,
  setNames,
  writeSurvivors,
} from './power-cut-model.ts'

export { LOSSES, type Loss } from './power-cut-model.ts'

export interface DiskOperation {
  readonly kind: 'create' | 'write' | 'truncate' | 'sync' | 'folder' | 'rename' | 'remove' | 'link'
  /** Inside the disk; of a rename the new one. */
  readonly path: string
}

/** Before the operation, while nobody knows how far it is, or when it is done and its caller was not told. */
export type Moment = 'before' | 'during' | 'after'

export interface PowerCutDisk {
  readonly folder: string
  readonly isDead: boolean
  /** From now on every call fails. What is left is in `into`, a folder that is not there yet. */
  cut(into: string, options: { readonly loss: Loss; readonly random: Random }): void
  /** Paths whose real content is not what the model says; only when nothing is being written. */
  unseen(): readonly string[]
  /** The real folder is an ordinary one again, for those who hold files of it: after a cut they can be stopped in order. */
  unmount(): void
}

export interface PowerCutOptions {
  /** Asked at every change. Whoever answers gets the call of `onDeath`, before anything else happens. */
  readonly diesAt?: (operation: DiskOperation) => Moment | undefined
  readonly onDeath?: (disk: PowerCutDisk, operation: DiskOperation) => void
}

/** SQLite's own, databases that serve as locks included. */
const isNative = (name: string) => /\.(sqlite(-wal|-shm|-journal)?|lock(-journal)?)$/.test(name)

class PowerIsOff extends Error {
  readonly code = 'EIO'
  constructor() {
    super('EIO: the power is off')
  }
}

class NotModelled extends Error {
  constructor(call: string, path: string) {
    super(`${call} of ${path} is not modelled by the disk that loses its power`)
  }
}

const real = { ...fs, promises: { ...fs.promises } }
const mounted = new Map<string, Disk>()

class Disk implements PowerCutDisk {
  readonly folder: string
  readonly #root: FolderEntry
  readonly #options: PowerCutOptions
  #order = 0
  #isDead = false
  #isMounted = true

  constructor(folder: string, options: PowerCutOptions) {
    this.folder = folder
    this.#options = options
    this.#root = readFolder(folder, isNative)
  }

  get isDead(): boolean {
    return this.#isDead
  }

  alive(): void {
    if (this.#isDead && this.#isMounted) throw new PowerIsOff()
  }

  cut(into: string, options: { readonly loss: Loss; readonly random: Random }): void {
    this.#isDead = true
    writeSurvivors(this.#root, into, {
      ...options,
      alongside: (pathInDisk, survivor) => {
        const from = join(this.folder, pathInDisk)
        if (!real.existsSync(from)) return
        for (const name of real.readdirSync(from).filter(isNative)) {
          real.copyFileSync(join(from, name), join(survivor, name))
        }
      },
    })
  }

  unseen(): readonly string[] {
    return differences(this.#root, readFolder(this.folder, isNative), '')
  }

  unmount(): void {
    this.#isMounted = false
    mounted.delete(this.folder)
  }

  /** A change of the model around the real one; the model's comes first, as half of it may be on the disk already. */
  async change<T>(
    operation: Omit<DiskOperation, 'path'> & { readonly at: string },
    begin: () => { readonly done: () => void; readonly undo: () => void },
    act: () => Promise<T>,
    lost?: (result: T) => Promise<void>,
  ): Promise<T> {
    if (!this.#isMounted) return act()
    const told = this.#ask(operation)
    const { done, undo } = begin()
    if (told.moment === 'during') this.#die(told)
    let result: T
    try {
      result = await act()
    } catch (thrown) {
      if (!this.#isDead) undo()
      throw thrown
    }
    if (!this.#isDead) {
      done()
      if (told.moment !== 'after') return result
      await lost?.(result)
      return this.#die(told)
    }
    await lost?.(result)
    throw new PowerIsOff()
  }

  changeSync(
    operation: Omit<DiskOperation, 'path'> & { readonly at: string },
    begin: () => { readonly done: () => void },
    act: () => void,
  ): void {
    const told = this.#ask(operation)
    const { done } = begin()
    if (told.moment === 'during') this.#die(told)
    act()
    done()
    if (told.moment === 'after') this.#die(told)
  }

  #ask({ kind, at }: Omit<DiskOperation, 'path'> & { readonly at: string }) {
    this.alive()
    const operation = { kind, path: relative(this.folder, at) }
    const moment = this.#options.diesAt?.(operation)
    if (moment === 'before') this.#die({ operation })
    return { operation, moment }
  }

  #die({ operation }: { readonly operation: DiskOperation }): never {
    this.#isDead = true
    this.#options.onDeath?.(this, operation)
    throw new PowerIsOff()
  }

  find(path: string): Entry | undefined {
    let entry: Entry | undefined = this.#root
    for (const name of relative(this.folder, path).split(sep).filter(Boolean)) {
      entry = entry?.kind === 'folder' ? entry.live.get(name) : undefined
    }
    return entry
  }

  parent(path: string): FolderEntry {
    const entry = this.find(dirname(path))
    if (entry?.kind === 'folder') return entry
    throw new NotModelled('a change', path)
  }

  /** Names that are set together, in one folder. */
  names(folder: FolderEntry, names: readonly (readonly [string, Entry | undefined])[]) {
    const before = names.map(([name]) => [name, folder.live.get(name)] as const)
    const pending = { order: this.#order++, isDone: false, names }
    folder.pending.push(pending)
    setNames(folder.live, names)
    return {
      done: () => {
        pending.isDone = true
      },
      undo: () => {
        folder.pending = folder.pending.filter((other) => other !== pending)
        setNames(folder.live, before)
      },
    }
  }

  bytes(file: FileEntry, change: { offset: number; bytes: Uint8Array } | { length: number }) {
    const pending = { order: this.#order++, isDone: false, ...change }
    file.pending.push(pending)
    return {
      pending,
      done: () => {
        pending.isDone = true
      },
      undo: () => {
        file.pending = file.pending.filter((other) => other !== pending)
      },
    }
  }
}

function differences(model: FolderEntry, found: FolderEntry, path: string): string[] {
  const names = new Set([...model.live.keys(), ...found.live.keys()])
  return [...names].flatMap((name) => {
    const own = join(path, name)
    const [ours, theirs] = [model.live.get(name), found.live.get(name)]
    if (ours?.kind === 'folder' && theirs?.kind === 'folder') return differences(ours, theirs, own)
    if (ours?.kind === 'link' && theirs?.kind === 'link')
      return ours.target === theirs.target ? [] : [own]
    if (ours?.kind !== 'file' || theirs?.kind !== 'file') return [own]
    return Buffer.compare(liveBytes(ours), theirs.durable) === 0 ? [] : [own]
  })
}

function diskOf(path: unknown): Disk | undefined {
  if (typeof path !== 'string' || mounted.size === 0) return undefined
  const whole = resolve(path)
  for (const [folder, disk] of mounted) {
    if (whole === folder || whole.startsWith(folder + sep)) return disk
  }
  return undefined
}

/** Handles whose changes the model follows; the cursor is used by nobody but `writeFile`. */
function follow(disk: Disk, path: string, handle: FileHandle, entry: Entry): FileHandle {
  const own = {
    read: handle.read.bind(handle) as (...given: unknown[]) => Promise<unknown>,
    write: handle.write.bind(handle),
    truncate: handle.truncate.bind(handle),
    stat: handle.stat.bind(handle) as (...given: unknown[]) => Promise<unknown>,
    readFile: handle.readFile.bind(handle) as (...given: unknown[]) => Promise<unknown>,
  }
  const file = () => {
    if (entry.kind !== 'file') throw new NotModelled('a write', path)
    return entry
  }
  const refuse = (call: string) => () => {
    throw new NotModelled(call, path)
  }
  const write = async (given: Uint8Array, position: number) => {
    const bytes = Uint8Array.from(given)
    let written: { bytes: Uint8Array } | undefined
    return disk.change(
      { kind: 'write', at: path },
      () => {
        const change = disk.bytes(file(), { offset: position, bytes })
        written = change.pending as { bytes: Uint8Array }
        return change
      },
      async () => {
        const { bytesWritten } = await own.write(bytes, 0, bytes.byteLength, position)
        if (written !== undefined) written.bytes = bytes.subarray(0, bytesWritten)
        return { bytesWritten, buffer: given }
      },
    )
  }
  const sync = () => {
    if (entry.kind === 'link') throw new NotModelled('a sync', path)
    const done = barrier(entry)
    // The barrier itself is left out: power is only ever cut here.
    const nothing = async () => undefined
    return disk.change({ kind: 'sync', at: path }, () => ({ done, undo: nothing }), nothing)
  }
  return Object.assign(handle, {
    read: async (...given: unknown[]) => {
      disk.alive()
      return own.read(...given)
    },
    stat: async (...given: unknown[]) => {
      disk.alive()
      return own.stat(...given)
    },
    readFile: async (...given: unknown[]) => {
      disk.alive()
      return own.readFile(...given)
    },
    write(given: unknown, offset: unknown, length: unknown, position: unknown) {
      if (!(given instanceof Uint8Array) || typeof offset !== 'number') return refuse('write')()
      if (typeof length !== 'number' || typeof position !== 'number') return refuse('write')()
      return write(given.subarray(offset, offset + length), position)
    },
    async writev(parts: readonly Uint8Array[], position: unknown) {
      if (typeof position !== 'number') return refuse('writev')()
      const { bytesWritten } = await write(Buffer.concat(parts), position)
      return { bytesWritten, buffers: parts }
    },
    async writeFile(content: string | Uint8Array | AsyncIterable<Uint8Array>) {
      const parts =
        typeof content === 'string' || content instanceof Uint8Array ? [content] : content
      let position = 0
      for await (const part of parts) {
        const bytes = typeof part === 'string' ? Buffer.from(part) : part
        for (let at = 0; at < bytes.byteLength; ) {
          const { bytesWritten } = await write(bytes.subarray(at), position)
          at += bytesWritten
          position += bytesWritten
        }
      }
    },
    truncate: (length = 0) =>
      disk.change(
        { kind: 'truncate', at: path },
        () => disk.bytes(file(), { length }),
        () => own.truncate(length),
      ),
    sync,
    datasync: sync,
    appendFile: refuse('appendFile'),
    createWriteStream: refuse('createWriteStream'),
  })
}

const { O_CREAT, O_TRUNC, O_EXCL, O_APPEND, O_WRONLY, O_RDWR } = fs.constants
const FLAGS: Readonly<Record<string, number>> = {
  r: 0,
  'r+': O_RDWR,
  w: O_WRONLY | O_CREAT | O_TRUNC,
  wx: O_WRONLY | O_CREAT | O_EXCL,
  'wx+': O_RDWR | O_CREAT | O_EXCL,
}

async function open(disk: Disk, given: string, flags: string | number = 'r', mode?: number) {
  const path = resolve(given)
  const bits = typeof flags === 'number' ? flags : FLAGS[flags]
  if (bits === undefined || (bits & (O_APPEND | O_TRUNC)) !== 0) throw new NotModelled('open', path)
  const there = disk.find(path)
  if (there !== undefined && (bits & O_EXCL) === 0) {
    disk.alive()
    return follow(disk, path, await real.promises.open(path, flags, mode), there)
  }
  if (there !== undefined || (bits & O_CREAT) === 0) {
    disk.alive()
    // Through a link for reading, or an error as the system words it.
    if ((bits & (O_WRONLY | O_RDWR)) !== 0 && there === undefined && real.existsSync(path))
      throw new NotModelled('open', path)
    return real.promises.open(path, flags, mode)
  }
  const file = newFile()
  const handle = await disk.change(
    { kind: 'create', at: path },
    () => disk.names(disk.parent(path), [[basename(path), file]]),
    () => real.promises.open(path, flags, mode),
    (opened) => opened.close(),
  )
  return follow(disk, path, handle, file)
}

/** Resolves to the first folder that was made, as `mkdir` does when it is recursive. */
async function mkdir(
  disk: Disk,
  given: string,
  options?: { readonly recursive?: boolean },
): Promise<string | undefined> {
  const path = resolve(given)
  const isRecursive = options?.recursive === true
  if (disk.find(path) !== undefined && isRecursive) {
    disk.alive()
    // Another call may be about to make it.
    await real.promises.mkdir(path, options)
    return undefined
  }
  const isAlone = disk.find(dirname(path)) !== undefined || !isRecursive
  const first = isAlone ? undefined : await mkdir(disk, dirname(path), options)
  await disk.change(
    { kind: 'folder', at: path },
    () => disk.names(disk.parent(path), [[basename(path), newFolder()]]),
    () => real.promises.mkdir(path),
  )
  return first ?? path
}

function remove(disk: Disk, given: string, isForced: boolean) {
  const path = resolve(given)
  if (disk.find(path) === undefined) {
    disk.alive()
    return isForced ? Promise.resolve() : real.promises.unlink(path)
  }
  if (disk.find(path)?.kind === 'folder') throw new NotModelled('removing a folder', path)
  return disk.change(
    { kind: 'remove', at: path },
    () => disk.names(disk.parent(path), [[basename(path), undefined]]),
    () => real.promises.unlink(path),
  )
}

async function rename(disk: Disk, givenFrom: string, givenTo: string) {
  const [from, to] = [resolve(givenFrom), resolve(givenTo)]
  const entry = disk.find(from)
  if (dirname(from) !== dirname(to)) throw new NotModelled('a rename between folders', to)
  if (entry === undefined) return real.promises.rename(from, to)
  const names = [
    [basename(from), undefined],
    [basename(to), entry],
  ] as const
  return disk.change(
    { kind: 'rename', at: to },
    () => disk.names(disk.parent(to), names),
    () => real.promises.rename(from, to),
  )
}

function symlink(disk: Disk, target: string, given: string) {
  const path = resolve(given)
  return disk.change(
    { kind: 'link', at: path },
    () => disk.names(disk.parent(path), [[basename(path), { kind: 'link', target }]]),
    () => real.promises.symlink(target, path),
  )
}

function writeFileSync(disk: Disk, given: string, content: string | Uint8Array) {
  const path = resolve(given)
  const bytes = typeof content === 'string' ? Buffer.from(content) : Uint8Array.from(content)
  const there = disk.find(path)
  const file = there?.kind === 'file' ? there : newFile()
  disk.changeSync(
    { kind: 'write', at: path },
    () => {
      const parts = [
        ...(there === undefined ? [disk.names(disk.parent(path), [[basename(path), file]])] : []),
        disk.bytes(file, { length: 0 }),
        disk.bytes(file, { offset: 0, bytes }),
      ]
      return { done: () => parts.forEach(({ done }) => done()) }
    },
    () => straight(() => real.writeFileSync(path, bytes)),
  )
}

function rmSync(disk: Disk, given: string, options?: { readonly recursive?: boolean }) {
  const path = resolve(given)
  if (options?.recursive === true) throw new NotModelled('rmSync', path)
  if (disk.find(path) === undefined) return straight(() => real.rmSync(path, options))
  disk.changeSync(
    { kind: 'remove', at: path },
    () => disk.names(disk.parent(path), [[basename(path), undefined]]),
    () => straight(() => real.rmSync(path, options)),
  )
}

type Call = (disk: Disk, ...given: never[]) => unknown

const PROMISES: Readonly<Record<string, Call>> = {
  open,
  mkdir,
  rename,
  symlink: (disk: Disk, target: string, path: string) => symlink(disk, target, path),
  unlink: (disk: Disk, path: string) => remove(disk, path, false),
  rm(
    disk: Disk,
    path: string,
    options?: { readonly force?: boolean; readonly recursive?: boolean },
  ) {
    if (options?.recursive === true) throw new NotModelled('rm', path)
    return remove(disk, path, options?.force === true)
  },
}
const SYNC: Readonly<Record<string, Call>> = { writeFileSync, rmSync }
/** They change nothing; without power they fail as well. */
const READS =
  /^(access|exists|glob|lstat|opendir|readFile|readdir|readlink|realpath|stat|statfs)(Sync)?$/
/** These get no path, or one that need not be there. */
const OTHERS =
  /^(_|[A-Z]|close|fchmod|fchown|fdatasync|fstat|fsync|ftruncate|futimes|read(v)?(Sync)?$|write(v)?(Sync)?$|promises|constants|openAsBlob|watch|unwatch|createReadStream|mkdtemp|mkdtempDisposable)/

function replace(module: Record<string, unknown>, calls: Readonly<Record<string, Call>>): void {
  for (const [name, original] of Object.entries(module)) {
    if (typeof original !== 'function' || OTHERS.test(name)) continue
    const call = original as (...given: unknown[]) => unknown
    const modelled = calls[name] as ((disk: Disk, ...given: unknown[]) => unknown) | undefined
    module[name] = Object.assign(function (this: unknown, ...given: unknown[]) {
      const disk = isInside ? undefined : (diskOf(given[0]) ?? diskOf(given[1]))
      if (disk === undefined) return call.apply(this, given)
      if (modelled !== undefined) return modelled(disk, ...given)
      if (!READS.test(name)) throw new NotModelled(name, String(given[0]))
      if (!disk.isDead) return straight(() => call.apply(this, given))
      if (name.endsWith('Sync')) throw new PowerIsOff()
      return Promise.reject(new PowerIsOff())
    }, original)
  }
}

/** Functions of `node:fs` call one another. */
let isInside = false

function straight<T>(call: () => T): T {
  const before = isInside
  isInside = true
  try {
    return call()
  } finally {
    isInside = before
  }
}

let isReplaced = false

/**
 * Must be called before the modules that are to be watched are loaded: some keep the functions of `node:fs` that
 * they find when they start.
 */
export function watchFileSystem(): void {
  if (isReplaced) return
  isReplaced = true
  replace(fs.promises as unknown as Record<string, unknown>, PROMISES)
  replace(fs as unknown as Record<string, unknown>, SYNC)
  syncBuiltinESMExports()
}

/** The folder is there, and all that is in it is durable. Everything below it is on this disk until it is unmounted. */
export function mountDisk(folder: string, options: PowerCutOptions = {}): PowerCutDisk {
  if (!isReplaced) throw new Error('call watchFileSystem() before anything else is imported')
  const disk = new Disk(resolve(folder), options)
  mounted.set(disk.folder, disk)
  return disk
}
