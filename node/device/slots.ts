import { readlink, rename, rm, stat, statfs, symlink } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { codeOf, makeFolderDurably, syncFolder } from '../base/index.ts'
import type { SlotName } from './types.ts'

export interface SlotPaths {
  readonly folder: string
  /** The whole image, verified; nothing else ever has this name. */
  readonly image: string
  /** The image while it is being written. */
  readonly part: string
}

/**
 * Two folders and a link: `slot-a`, `slot-b`, and `current` which points at the one that runs. The link is
 * replaced by rename, so that at every moment it points at a whole image.
 */
export interface Slots {
  readonly folder: string
  paths(slot: SlotName): SlotPaths
  /** Undefined before the first install. */
  current(): Promise<SlotName | undefined>
  switchTo(slot: SlotName): Promise<void>
  /** Removes everything in a slot that does not run. */
  clear(slot: SlotName): Promise<void>
  /** Bytes that may still be written on the disk of the slots. */
  freeBytes(): Promise<number>
}

export function otherSlot(slot: SlotName | undefined): SlotName {
  return slot === 'a' ? 'b' : 'a'
}

/** Paths are absolute, as commands of the owner get them. */
export function createSlots(given: string): Slots {
  const folder = resolve(given)
  const link = join(folder, 'current')
  const paths = (slot: SlotName): SlotPaths => {
    const own = join(folder, `slot-${slot}`)
    return { folder: own, image: join(own, 'image'), part: join(own, 'image.part') }
  }
  const current = async (): Promise<SlotName | undefined> => {
    try {
      const [, name] = /^slot-([ab])$/.exec(await readlink(link)) ?? []
      return name === 'a' || name === 'b' ? name : undefined
    } catch (thrown) {
      if (codeOf(thrown) === 'ENOENT') return undefined
      throw thrown
    }
  }
  return {
    folder,
    paths,
    current,
    async switchTo(slot) {
      if ((await current()) === slot) return
      const fresh = join(folder, 'current.new')
      await rm(fresh, { force: true })
      await symlink(`slot-${slot}`, fresh)
      await rename(fresh, link)
      await syncFolder(folder)
    },
    async clear(slot) {
      const { image, part } = paths(slot)
      await rm(image, { force: true })
      await rm(part, { force: true })
    },
    async freeBytes() {
      await makeFolderDurably(folder)
      const { bavail, bsize } = await statfs(folder)
      return bavail * bsize
    },
  }
}

export async function sizeOf(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).size
  } catch (thrown) {
    if (codeOf(thrown) === 'ENOENT') return undefined
    throw thrown
  }
}
