/**
 * Slots that are partitions, or files of a fixed size: what is in them, and how much of it, is noted beside them, as
 * a partition has neither a name for half an image nor an end of its own. An image that is begun is compared with
 * what the partition holds already, so old contents are used where they are alike and overwritten where they are not.
 *
 * Which partition is booted is for the install command to set, in the environment of the bootloader; `current` is
 * the agent's own note of it.
 */
import { constants } from 'node:fs'
import { open, readFile, realpath, rm, stat, statfs } from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import { z } from 'zod'
import {
  asError,
  type Clock,
  codeOf,
  type Log,
  makeFolderDurably,
  syncFolder,
  writeFileDurably,
} from '../base/index.ts'
import { FLUSH_WITHIN_MS } from './limits.ts'
import { runProgram } from './run-command.ts'
import type { Slots } from './slots.ts'
import { deviceError, type SlotName } from './types.ts'

/** Linux counts the size of any block device in these, whatever its own are (Documentation/ABI/stable/sysfs-block). */
const SECTOR_BYTES = 512

const NoteSchema = z.object({ isWhole: z.boolean(), imageBytes: z.int().min(0) })
type Note = z.infer<typeof NoteSchema>

/** `folder`: for the notes; it has to be on another disk than the slots. */
export function createPartitionSlots(
  needs: { readonly clock: Clock; readonly log: Log },
  given: { readonly a: string; readonly b: string; readonly folder: string },
): Slots {
  const folder = resolve(given.folder)
  const devices: Readonly<Record<SlotName, string>> = { a: resolve(given.a), b: resolve(given.b) }
  const currentPath = join(folder, 'current')
  const notePath = (slot: SlotName) => join(folder, `partition-${slot}.json`)

  const noteOf = async (slot: SlotName): Promise<Note | undefined> => {
    const text = await textOf(notePath(slot))
    return text === undefined ? undefined : NoteSchema.parse(JSON.parse(text))
  }
  const save = async (path: string, text: string) => {
    await makeFolderDurably(folder)
    await writeFileDurably(path, text)
  }
  const current = async (): Promise<SlotName | undefined> => {
    const name = (await textOf(currentPath))?.trim()
    return name === 'a' || name === 'b' ? name : undefined
  }

  return {
    folder,
    image: (slot) => devices[slot],
    async imageBytes(slot) {
      const note = await noteOf(slot)
      return note?.isWhole === true ? note.imageBytes : undefined
    },
    current,
    switchTo: (slot) => save(currentPath, `${slot}\n`),
    isBegun: async (slot) => (await noteOf(slot))?.isWhole === false,
    async takes(imageBytes) {
      for (const device of Object.values(devices)) {
        const bytes = await capacityOf(device)
        if (bytes >= imageBytes) continue
        throw deviceError(
          'image-too-large',
          `${device} has ${bytes} bytes, the image ${imageBytes}`,
          {
            blame: 'local',
            fix: 'Publish a smaller image for this model, or make the partitions larger.',
          },
        )
      }
      return 0
    },
    async begin(slot, imageBytes) {
      if ((await current()) === slot) throw inUse(devices[slot], 'it is the one that runs')
      await save(notePath(slot), JSON.stringify({ isWhole: false, imageBytes }))
      return { file: await openForWriting(devices[slot]), isBlank: false }
    },
    async openWritten(slot) {
      const device = devices[slot]
      if ((await stat(device)).isBlockDevice()) await flush(needs, device)
      return open(device, 'r')
    },
    finish: (slot, imageBytes) =>
      save(notePath(slot), JSON.stringify({ isWhole: true, imageBytes })),
    async clear(slot) {
      await rm(notePath(slot), { force: true })
      await makeFolderDurably(folder)
      await syncFolder(folder)
    },
    async freeBytes() {
      await makeFolderDurably(folder)
      const { bavail, bsize } = await statfs(folder)
      return bavail * bsize
    },
  }
}

/** Exclusive, which Linux refuses for a block device that is mounted (open(2)). */
async function openForWriting(device: string) {
  const isBlock = (await stat(device)).isBlockDevice()
  try {
    return await open(device, isBlock ? constants.O_RDWR | constants.O_EXCL : 'r+')
  } catch (thrown) {
    if (codeOf(thrown) === 'EBUSY') throw inUse(device, 'it is mounted')
    throw thrown
  }
}

async function capacityOf(device: string): Promise<number> {
  const found = await stat(device)
  if (!found.isBlockDevice()) return found.size
  const sectors = await readFile(
    `/sys/class/block/${basename(await realpath(device))}/size`,
    'utf8',
  )
  return Number(sectors) * SECTOR_BYTES
}

/** So that what is read back comes from the medium and not from memory; without `blockdev` it may not. */
async function flush(
  needs: { readonly clock: Clock; readonly log: Log },
  device: string,
): Promise<void> {
  try {
    const options = { env: {}, timeoutMs: FLUSH_WITHIN_MS }
    const { exitCode } = await runProgram(needs, 'blockdev', options, ['--flushbufs', device])
    if (exitCode !== 0) needs.log.warn({ device, exitCode }, 'blockdev could not flush')
  } catch (thrown) {
    if (codeOf(thrown) !== 'ENOENT') throw thrown
    needs.log.warn({ error: asError(thrown) }, 'blockdev is missing: the image is read from memory')
  }
}

async function textOf(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8')
  } catch (thrown) {
    if (codeOf(thrown) === 'ENOENT') return undefined
    throw thrown
  }
}

function inUse(device: string, why: string) {
  return deviceError('slot-in-use', `${device} is not written to: ${why}`, {
    blame: 'local',
    fix: 'Name the two partitions of the system, and mount only the one that runs.',
  })
}
