import { link, mkdir, rename, rm } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { concat, type Random } from '../base/index.ts'
import { type FileLayer, type StoredFile, systemFiles } from './file-layer.ts'

export type Operation = 'open' | 'write' | 'datasync' | 'truncate' | 'rename' | 'remove' | 'sync'

/**
 * The real disk, but the test decides what goes wrong: an operation may fail, everything may stop as if the
 * process had died, and a power cut takes away what no barrier covered: a random part of the bytes behind the
 * last fdatasync of a file, and the newest changes of a folder since its last fsync.
 */
export interface TrialFiles extends FileLayer {
  /** Throws the returned error instead of doing the operation. */
  failWith: ((operation: Operation, path: string) => Error | undefined) | undefined
  /** A write takes so many bytes and then throws ENOSPC, as a disk does that fills up. */
  writeAtMost: number | undefined
  /** Is waited for before an operation, and before a file is opened for reading or read. */
  before: ((operation: Operation | 'read', path: string) => Promise<void>) | undefined
  /**
   * After so many more changing operations everything fails, as if the process had died: before the last one
   * was done, or when it was done and nobody heard of it.
   */
  crashAfter(operations: number, done?: 'undone' | 'done'): void
  readonly crashed: boolean
  readonly barriers: number
  powerCut(random: Random): Promise<void>
}

interface Change {
  readonly undo: () => Promise<void>
}

class Died extends Error {}

/** `graveyard` is a folder beside the store, where removed files wait for a power cut that brings them back. */
export function createTrialFiles(graveyard: string): TrialFiles {
  /** Bytes of a file that a barrier has covered; only files with something unsynced are here. */
  const covered = new Map<string, number>()
  const unsynced = new Map<string, Change[]>()
  let untilCrash = Number.POSITIVE_INFINITY
  let lastOne: 'undone' | 'done' = 'undone'
  let crashed = false
  let barriers = 0
  let serial = 0
  const running = new Set<Promise<unknown>>()

  const act = async <T>(
    operation: Operation | undefined,
    path: string,
    run: () => Promise<T>,
    /** For a result that nobody hears of. */
    lost?: (result: T) => Promise<void>,
  ) => {
    const dying = !crashed && operation !== undefined && untilCrash-- <= 0
    if (crashed || (dying && lastOne === 'undone')) {
      crashed = true
      throw new Died(`the process died before ${operation ?? 'reading'} ${path}`)
    }
    const failure = operation && files.failWith?.(operation, path)
    if (failure !== undefined) throw failure
    if (operation !== undefined) await files.before?.(operation, path)
    const doing = run()
    running.add(doing)
    if (dying) crashed = true
    try {
      const result = await doing
      if (dying) await lost?.(result)
      if (dying) throw new Died(`the process died after ${operation ?? 'reading'} ${path}`)
      return result
    } finally {
      running.delete(doing)
    }
  }
  const changed = (folder: string, change: Change) => {
    const list = unsynced.get(folder) ?? []
    list.push(change)
    unsynced.set(folder, list)
  }
  /** Keeps a second name of the file, so that removing it can be undone. */
  const bury = async (path: string): Promise<string | undefined> => {
    const grave = join(graveyard, `${serial++}-${basename(path)}`)
    try {
      await mkdir(graveyard, { recursive: true })
      await link(path, grave)
      return grave
    } catch (thrown) {
      if (thrown instanceof Error && 'code' in thrown && thrown.code === 'ENOENT') return undefined
      throw thrown
    }
  }

  const wrap = (path: string, file: StoredFile): StoredFile => ({
    read: (into, position) =>
      act(undefined, path, async () => {
        await files.before?.('read', path)
        return file.read(into, position)
      }),
    size: () => act(undefined, path, () => file.size()),
    write: (parts, position) =>
      act('write', path, async () => {
        covered.set(path, Math.min(covered.get(path) ?? Number.POSITIVE_INFINITY, position))
        const most = files.writeAtMost
        if (most === undefined) return file.write(parts, position)
        await file.write([concat(parts).subarray(0, most)], position)
        throw Object.assign(new Error('ENOSPC: injected'), { code: 'ENOSPC' })
      }),
    // The barrier itself is left out: a power cut is only ever simulated here.
    datasync: () =>
      act('datasync', path, async () => {
        barriers++
        covered.delete(path)
      }),
    truncate: (length) => act('truncate', path, () => file.truncate(length)),
    close: () => file.close(),
  })

  const files: TrialFiles = {
    failWith: undefined,
    writeAtMost: undefined,
    before: undefined,
    get crashed() {
      return crashed
    },
    get barriers() {
      return barriers
    },
    crashAfter(operations, done = 'undone') {
      untilCrash = operations
      lastOne = done
    },
    open: (path, mode) =>
      act(
        mode === 'read' ? undefined : 'open',
        path,
        async () => {
          if (mode === 'read') await files.before?.('read', path)
          const file = await systemFiles.open(path, mode)
          if (mode === 'create') changed(dirname(path), { undo: () => rm(path, { force: true }) })
          return wrap(path, file)
        },
        (file) => file.close(),
      ),
    makeFolder: (path) => act(undefined, path, () => systemFiles.makeFolder(path)),
    names: (folder) => act(undefined, folder, () => systemFiles.names(folder)),
    changedMs: (path) => act(undefined, path, () => systemFiles.changedMs(path)),
    freeBytes: (folder) => act(undefined, folder, () => systemFiles.freeBytes(folder)),
    rename: (from, to) =>
      act('rename', to, async () => {
        const replaced = await bury(to)
        await systemFiles.rename(from, to)
        const bytes = covered.get(from)
        covered.delete(from)
        if (bytes !== undefined) covered.set(to, bytes)
        changed(dirname(to), {
          undo: async () => {
            await rename(to, from)
            if (replaced !== undefined) await rename(replaced, to)
          },
        })
      }),
    remove: (path) =>
      act('remove', path, async () => {
        const grave = await bury(path)
        await systemFiles.remove(path)
        covered.delete(path)
        if (grave !== undefined) changed(dirname(path), { undo: () => rename(grave, path) })
      }),
    syncFolder: (folder) =>
      act('sync', folder, async () => {
        unsynced.delete(folder)
      }),
    async powerCut(random) {
      crashed = true
      await Promise.allSettled(running)
      for (const [path, length] of covered) await tear(path, length, random)
      covered.clear()
      for (const changes of unsynced.values()) {
        const kept = random.int(changes.length + 1)
        for (const { undo } of changes.slice(kept).reverse()) await undo()
      }
      unsynced.clear()
      await rm(graveyard, { recursive: true, force: true })
    },
  }
  return files
}

/** Cuts the file somewhere behind `length`, or leaves garbage in some of it. */
async function tear(path: string, length: number, random: Random): Promise<void> {
  const file = await systemFiles.open(path, 'change')
  try {
    const size = await file.size()
    if (size <= length) return
    const end = length + random.int(size - length + 1)
    if (random.int(2) === 0) return await file.truncate(end)
    await file.write([random.bytes(size - end)], end)
  } finally {
    await file.close()
  }
}
