import {
  type FileHandle,
  open,
  readlink,
  rename,
  rm,
  stat,
  statfs,
  symlink,
} from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { codeOf, makeFolderDurably, syncFolder } from '../base/index.ts'
import type { SlotName } from './types.ts'

/** A slot that is open for an image of the length that was asked for. */
interface OpenSlot {
  readonly file: FileHandle
  /** Nothing was ever written there: what is left out reads as zeros. */
  readonly isBlank: boolean
}

/**
 * Two places for an image, of which one runs. An image counts as whole only when it was read back and noted, and
 * which one runs is replaced at one stroke, so that at every moment a whole image is named.
 */
export interface Slots {
  /** Where the slots are, or what is noted of them. */
  readonly folder: string
  /** Where the image of a slot is, as the owner's commands are told. */
  image(slot: SlotName): string
  /** Length of the whole image in a slot; undefined when there is none. */
  imageBytes(slot: SlotName): Promise<number | undefined>
  /** Undefined before the first install. */
  current(): Promise<SlotName | undefined>
  switchTo(slot: SlotName): Promise<void>
  /** An earlier run has begun to write there, and has not ended. */
  isBegun(slot: SlotName): Promise<boolean>
  /** What an image will take of `freeBytes`. Throws `image-too-large` when the slot is too small. */
  takes(imageBytes: number): Promise<number>
  /** For writing, at any place and again and again. Throws `slot-in-use`. */
  begin(slot: SlotName, imageBytes: number): Promise<OpenSlot>
  /** For reading back what was written, from the medium as far as the system lets us. */
  openWritten(slot: SlotName): Promise<FileHandle>
  /** What was written is whole. */
  finish(slot: SlotName, imageBytes: number): Promise<void>
  /** Lets go of what is in a slot that does not run. */
  clear(slot: SlotName): Promise<void>
  /** Bytes that may still be written on the disk of `folder`. */
  freeBytes(): Promise<number>
}

export function otherSlot(slot: SlotName | undefined): SlotName {
  return slot === 'a' ? 'b' : 'a'
}

/**
 * Two folders and a link: `slot-a`, `slot-b`, and `current` which points at the one that runs. Paths are absolute, as
 * commands of the owner get them. `image` is the name of a whole image only, `image.part` of one that is being written.
 */
export function createSlots(given: string): Slots {
  const folder = resolve(given)
  const link = join(folder, 'current')
  const folderOf = (slot: SlotName) => join(folder, `slot-${slot}`)
  const image = (slot: SlotName) => join(folderOf(slot), 'image')
  const part = (slot: SlotName) => join(folderOf(slot), 'image.part')
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
    image,
    imageBytes: (slot) => sizeOf(image(slot)),
    current,
    async switchTo(slot) {
      if ((await current()) === slot) return
      const fresh = join(folder, 'current.new')
      await rm(fresh, { force: true })
      await symlink(`slot-${slot}`, fresh)
      await rename(fresh, link)
      await syncFolder(folder)
    },
    isBegun: async (slot) => (await sizeOf(part(slot))) !== undefined,
    takes: (imageBytes) => Promise.resolve(imageBytes),
    async begin(slot, imageBytes) {
      await makeFolderDurably(folderOf(slot))
      // A crash between naming the image and noting it leaves a whole image: take it up again as the part.
      if ((await sizeOf(part(slot))) === undefined && (await sizeOf(image(slot))) !== undefined) {
        await rename(image(slot), part(slot))
      }
      const earlier = await open(part(slot), 'r+').catch((thrown: unknown) => {
        if (codeOf(thrown) !== 'ENOENT') throw thrown
      })
      const file = earlier ?? (await open(part(slot), 'wx+'))
      try {
        await file.truncate(imageBytes)
      } catch (thrown) {
        await file.close()
        throw thrown
      }
      return { file, isBlank: earlier === undefined }
    },
    openWritten: (slot) => open(part(slot), 'r'),
    async finish(slot) {
      await rename(part(slot), image(slot))
      await syncFolder(folderOf(slot))
      // An earlier run may have made the slot and died before its name was safe.
      await syncFolder(dirname(folderOf(slot)))
    },
    async clear(slot) {
      await rm(image(slot), { force: true })
      await rm(part(slot), { force: true })
    },
    async freeBytes() {
      await makeFolderDurably(folder)
      const { bavail, bsize } = await statfs(folder)
      return bavail * bsize
    },
  }
}

async function sizeOf(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).size
  } catch (thrown) {
    if (codeOf(thrown) === 'ENOENT') return undefined
    throw thrown
  }
}
