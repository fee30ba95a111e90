import { join } from 'node:path'
import { CID } from 'multiformats/cid'
import type { AbortOptions, Hex, Log } from '../base/index.ts'
import { type OpenedRelease, openRelease } from '../firmware/index.ts'
import { type LocalChunks, openLocalChunks } from './chunk-index.ts'
import { createNodeKeeper, openKeptNodes } from './kept-nodes.ts'
import { DISK_HEADROOM_BYTES, IMAGE_MAX_BYTES } from './limits.ts'
import { type DeltaBlocks, openPatchSource } from './patch-source.ts'
import type { Slots } from './slots.ts'
import { type StageNeeds, stageImage, verifyAndName } from './stage.ts'
import { deviceError, type InstalledRelease, type SlotName, type Target } from './types.ts'

/** Where the blocks of a release come from: a session with its sources, or a file. */
export interface BlockSource extends Pick<StageNeeds, 'get' | 'fetch' | 'read'> {
  readonly onReused?: (cid: CID) => Promise<unknown>
  /** The patches from the running image, when there are some and they may be fetched. */
  readonly delta?: DeltaBlocks & { readonly releaseKey: Uint8Array }
  /** What it puts on the disk beside the image. */
  readonly storedBytes: number
}

export interface ImageJob {
  readonly target: Target
  readonly release: OpenedRelease
  readonly slot: SlotName
  readonly installed: InstalledRelease | null
  /** Where chunk indexes are kept. */
  readonly folder: string
}

export interface WrittenImage {
  readonly sha256: Hex
  readonly imageBytes: number
}

export interface Written extends WrittenImage {
  readonly reusedChunks: number
  readonly patchedChunks: number
}

function indexPath(folder: string, slot: SlotName): string {
  return join(folder, `chunks-${slot}.idx`)
}

function nodesPath(folder: string, slot: SlotName): string {
  return join(folder, `nodes-${slot}.bin`)
}

/** Stages the image in its slot, reads it back from disk and gives it its name there. */
export async function writeImage(
  needs: { readonly slots: Slots; readonly log: Log },
  source: BlockSource,
  job: ImageJob,
  events: {
    readonly onProgress: (stagedBytes: number) => void
    /** All bytes are in the part file and durable; it will be read back now. */
    readonly onStaged: () => void
  },
  options: AbortOptions = {},
): Promise<Written> {
  const { slots } = needs
  const { release, slot, installed, folder } = job
  await requireRoom(slots, slot, release, source)
  const held: { close(): Promise<void> }[] = []
  const hold = <T extends { close(): Promise<void> } | undefined>(file: T): T => {
    if (file !== undefined) held.push(file)
    return file
  }
  try {
    const local = hold(
      installed === null
        ? undefined
        : await openLocalChunks(slots.image(installed.slot), indexPath(folder, installed.slot)),
    )
    // Who keeps blocks has the nodes among them, and has to find them there to serve them.
    const earlier = hold(
      installed === null || source.onReused !== undefined
        ? undefined
        : await openKeptNodes(nodesPath(folder, installed.slot)),
    )
    const nodes = hold(await createNodeKeeper(nodesPath(folder, slot), source.get, earlier))
    const { imageBytes } = release
    const patches = await patchesOf(needs, { source, job, local }, options)
    const { index, reusedChunks, patchedChunks } = await stageImage(
      { ...source, get: nodes.get, local, patches, onProgress: events.onProgress },
      { tree: release.treeRef, imageBytes, slots, slot },
      options,
    )
    events.onStaged()
    const where = { slots, slot, imageBytes }
    const sha256 = await verifyAndName(where, { index, imageHash: release.imageHash }, options)
    await index.save(indexPath(folder, slot))
    await nodes.save()
    return { sha256, imageBytes, reusedChunks, patchedChunks }
  } finally {
    // All of them, also when one fails: Node ends a process that leaves an open file to the collector.
    const closed = await Promise.allSettled(held.map((file) => file.close()))
    for (const { file, error } of closed.flatMap((each, at) =>
      each.status === 'rejected' ? [{ file: at, error: each.reason as unknown }] : [],
    )) {
      needs.log.warn({ file, error }, 'a file of the update could not be closed')
    }
  }
}

async function patchesOf(
  { log }: { readonly log: Log },
  from: {
    readonly source: BlockSource
    readonly job: ImageJob
    readonly local: LocalChunks | undefined
  },
  options: AbortOptions,
) {
  const { source, job, local } = from
  const { delta } = job.target
  const isFromHere = delta !== undefined && delta.base === job.installed?.root
  if (!isFromHere || local === undefined || source.delta === undefined) return undefined
  const ends = { base: CID.parse(delta.base), release: CID.parse(job.target.root) }
  return openPatchSource(
    { blocks: source.delta, local, log },
    { root: CID.parse(delta.root), ends, releaseKey: source.delta.releaseKey },
    options,
  )
}

/** The root names vendor, model and version in clear; all must be what TUF metadata says of this target. */
export function openTarget(
  meant: { readonly vendor: string; readonly model: string; readonly target: Target },
  rootBytes: Uint8Array,
  releaseKey: Uint8Array,
): OpenedRelease {
  const release = openRelease(rootBytes, releaseKey)
  const isMeant =
    release.vendor === meant.vendor &&
    release.model === meant.model &&
    release.version === meant.target.version
  if (!isMeant) {
    throw deviceError(
      'release-refused',
      `the block is of ${release.model} ${release.version} by ${release.vendor}`,
      { blame: 'peer', fix: 'The publisher made a mistake; publish the release again.' },
    )
  }
  if (release.imageBytes > IMAGE_MAX_BYTES) {
    throw deviceError('image-too-large', `the image has ${release.imageBytes} bytes`, {
      blame: 'peer',
      fix: `At most ${IMAGE_MAX_BYTES} bytes are taken.`,
    })
  }
  return release
}

/** Before the first byte, so that a full disk costs no traffic. */
async function requireRoom(
  slots: Slots,
  slot: SlotName,
  { imageBytes }: OpenedRelease,
  { storedBytes }: BlockSource,
): Promise<void> {
  const takesBytes = await slots.takes(imageBytes)
  // What was begun has taken some of its room; how much cannot be asked of a sparse file.
  const isBegun = await slots.isBegun(slot)
  const wantedBytes = (isBegun ? 0 : takesBytes + storedBytes) + DISK_HEADROOM_BYTES
  const freeBytes = await slots.freeBytes()
  if (freeBytes >= wantedBytes) return
  throw deviceError('disk-full', `${wantedBytes} bytes are needed, ${freeBytes} are free`, {
    blame: 'local',
    fix: `Free some space on the disk of ${slots.folder}; the update is tried again by itself.`,
  })
}
