/** One disk that can lose its power: what was asked of it, in the order of asking, and what has become of that. */
import fs from 'node:fs'
import { dirname, join, relative, sep } from 'node:path'
import type { Random } from '../base/index.ts'
import {
  type Entry,
  type FileEntry,
  type FolderEntry,
  liveBytes,
  type Loss,
  readFolder,
  setNames,
  writeSurvivors,
} from './power-cut-model.ts'

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

export class PowerIsOff extends Error {
  readonly code = 'EIO'
  constructor() {
    super('EIO: the power is off')
  }
}

export class NotModelled extends Error {
  constructor(call: string, path: string) {
    super(`${call} of ${path} is not modelled by the disk that loses its power`)
  }
}

/** As the system has them, whatever was replaced later. */
export const real = { ...fs, promises: { ...fs.promises } }

export class Disk implements PowerCutDisk {
  readonly folder: string
  readonly #root: FolderEntry
  readonly #options: PowerCutOptions
  #order = 0
  #isDead = false
  #isMounted = true
  readonly #unmounted: () => void

  constructor(folder: string, options: PowerCutOptions, unmounted: () => void) {
    this.folder = folder
    this.#unmounted = unmounted
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
    this.#unmounted()
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

/** Functions of `node:fs` call one another. */
let inside = false

export function straight<T>(call: () => T): T {
  const before = inside
  inside = true
  try {
    return call()
  } finally {
    inside = before
  }
}

export function isStraight(): boolean {
  return inside
}
