import type { Random } from '../base/index.ts'
import type { BookFile, BookFiles } from '../receipts/index.ts'

/**
 * A disk in memory that forgets what a real one may forget. What was written is in the cache and outlives the
 * process; a power cut takes away a random tail of what no barrier covered, tears the write at its edge, and
 * undoes the newest changes of names since the folder was synced.
 */
export interface TrialDisk {
  /** The disk as one process sees it; after `end` nothing of it answers any more. */
  process(): { readonly files: BookFiles; end(): void }
  /** Call it when the process has ended. */
  powerCut(random: Random): void
  /** Barriers that were passed. */
  readonly barriers: number
}

interface Inode {
  cached: Uint8Array
  durable: Uint8Array
  /** Contents after each change that no barrier has covered, oldest first. */
  unsynced: Uint8Array[]
}

export function createTrialDisk(needs: {
  /** How long the disk takes for each operation; tests with simulated time wait there. */
  readonly takes: (operation: 'read' | 'write' | 'barrier') => Promise<void>
}): TrialDisk {
  let names = new Map<string, Inode>()
  let durableNames = new Map<string, Inode>()
  /** The names after each change since the last sync of the folder, oldest first. */
  let unsyncedNames: Map<string, Inode>[] = []
  const locks = new Set<string>()
  let barriers = 0

  const renamed = (change: (to: Map<string, Inode>) => void) => {
    names = new Map(names)
    change(names)
    unsyncedNames.push(names)
  }
  const changed = (inode: Inode, content: Uint8Array) => {
    inode.cached = content
    inode.unsynced.push(content)
  }

  const process = () => {
    let hasEnded = false
    const locked = new Set<string>()
    /** Before and after: who is dead does nothing and hears of nothing. */
    const act = async <T>(operation: 'read' | 'write' | 'barrier', run: () => T): Promise<T> => {
      await alive()
      await needs.takes(operation)
      await alive()
      return run()
    }
    // Like a process that was killed: its promises stay open for ever.
    const alive = () => (hasEnded ? new Promise<never>(() => undefined) : Promise.resolve())
    const found = (path: string): Inode => {
      const inode = names.get(path)
      if (inode === undefined) throw Object.assign(new Error(`ENOENT: ${path}`), { code: 'ENOENT' })
      return inode
    }

    const fileOf = (inode: Inode): BookFile => ({
      read: (into, position) =>
        act('read', () => {
          const part = inode.cached.subarray(position, position + into.byteLength)
          into.set(part)
          return part.byteLength
        }),
      write: (bytes, position) =>
        act('write', () => {
          const end = position + bytes.byteLength
          const content = new Uint8Array(Math.max(end, inode.cached.byteLength))
          content.set(inode.cached)
          content.set(bytes, position)
          changed(inode, content)
        }),
      async datasync() {
        await alive()
        // What is written while the disk is at it is not covered.
        const covered = inode.unsynced.length
        const content = inode.cached
        await needs.takes('barrier')
        await alive()
        inode.durable = content
        inode.unsynced.splice(0, covered)
        barriers++
      },
      truncate: (length) =>
        act('write', () => {
          const content = new Uint8Array(length)
          content.set(inode.cached.subarray(0, length))
          changed(inode, content)
        }),
      size: () => act('read', () => inode.cached.byteLength),
      close: () => alive(),
    })

    const files: BookFiles = {
      makeFolder: () => alive(),
      open: (path, mode) =>
        act('read', () => {
          if (mode === 'whole' && names.has(path)) return fileOf(found(path))
          if (names.has(path)) throw Object.assign(new Error('EEXIST'), { code: 'EEXIST' })
          const empty = new Uint8Array()
          const inode = { cached: empty, durable: empty, unsynced: [] }
          renamed((to) => to.set(path, inode))
          return fileOf(inode)
        }),
      rename: (from, to) =>
        act('write', () => {
          const inode = found(from)
          renamed((all) => {
            all.delete(from)
            all.set(to, inode)
          })
        }),
      remove: (path) =>
        act('write', () => {
          if (names.has(path)) renamed((all) => all.delete(path))
        }),
      copy: (from, to) =>
        act('write', () => {
          const { cached } = found(from)
          const empty = new Uint8Array()
          const inode: Inode = { cached: empty, durable: empty, unsynced: [] }
          changed(inode, cached.slice())
          renamed((all) => all.set(to, inode))
        }),
      async syncFolder() {
        await alive()
        const covered = unsyncedNames.length
        const now = names
        await needs.takes('barrier')
        await alive()
        durableNames = now
        unsyncedNames.splice(0, covered)
        barriers++
      },
      lock(path) {
        if (locks.has(path)) throw new Error(`${path} is locked`)
        locks.add(path)
        locked.add(path)
        return () => {
          if (locked.delete(path)) locks.delete(path)
        }
      },
    }
    return {
      files,
      end() {
        hasEnded = true
        for (const path of locked) locks.delete(path)
        locked.clear()
      },
    }
  }

  return {
    process,
    get barriers() {
      return barriers
    },
    powerCut(random) {
      const kept = random.int(unsyncedNames.length + 1)
      const inodes = new Set([...names.values(), ...durableNames.values()])
      for (const each of unsyncedNames) for (const inode of each.values()) inodes.add(inode)
      names = unsyncedNames[kept - 1] ?? durableNames
      durableNames = names
      unsyncedNames = []
      for (const inode of inodes) tear(inode, random)
    },
  }
}

/** Some of the changes that were under way came to the disk, and of the next one a part. */
function tear(inode: Inode, random: Random): void {
  const { durable, unsynced } = inode
  const kept = random.int(unsynced.length + 1)
  const whole = unsynced[kept - 1] ?? durable
  const next = unsynced[kept]
  inode.unsynced = []
  inode.cached = whole
  if (next !== undefined && next.byteLength > whole.byteLength) {
    const end = whole.byteLength + random.int(next.byteLength - whole.byteLength + 1)
    inode.cached = next.slice(0, end)
    // The length may have come without the bytes.
    if (random.int(2) === 0)
      inode.cached.set(random.bytes(end - whole.byteLength), whole.byteLength)
  }
  inode.durable = inode.cached
}
