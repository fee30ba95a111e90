/** Our device as a process: writes a release into the other slot, from blocks on the disk, as the agent does. */
import { tuneForSmallMemory } from '@ioex/node/base'
import type { GetBlock } from '@ioex/node/chunks'
import { createSlots, type InstalledRelease, type SlotName, writeImage } from '@ioex/node/device'
import { type OpenedRelease, openRelease } from '@ioex/node/firmware'
import { CID } from 'multiformats/cid'
import { say, taskOf } from '../../exchange/bench-process.ts'
import { writePatched } from './apply-patches.ts'
import { openBlockFile } from './block-file.ts'
import type { DeviceAnswer, DeviceTask, FetchedBytes, PublishedRelease } from './ours-tasks.ts'
import { startOwnUsage } from './own-usage.ts'

const DAG_CBOR_CODEC = 0x71

tuneForSmallMemory()
const { release, installed, delta, slots: folder } = taskOf<DeviceTask>()
const slots = createSlots(folder)
const blocks = await openBlockFile(release.blocks)
const fetched: { -readonly [Part in keyof FetchedBytes]: number } = {
  root: 0,
  nodes: 0,
  chunks: 0,
  delta: 0,
}
/** A block that comes again is in the device's store, and fetched once. */
const seen = new Set<string>()
const counted =
  (get: GetBlock, partOf: (cid: CID) => keyof FetchedBytes): GetBlock =>
  async (cid, options) => {
    const bytes = await get(cid, options)
    if (!seen.has(cid.toString())) fetched[partOf(cid)] += bytes.byteLength
    seen.add(cid.toString())
    return bytes
  }
const fetchRoot = counted(blocks.get, () => 'root')
const fetch = counted(blocks.get, ({ code }) => (code === DAG_CBOR_CODEC ? 'nodes' : 'chunks'))

const usage = await startOwnUsage()
const opened = await open(release)
if (installed === undefined) await writeWhole(opened, 'a', null)
else if (delta === undefined) await writeWhole(opened, 'b', runningIn('a', installed))
else {
  const patches = await openBlockFile(delta.blocks)
  await writePatched(
    { slots, folder, get: fetch, getDelta: counted(patches.get, () => 'delta') },
    { installed, release, opened, delta },
  )
  await patches.close()
}
const { growthBytes, ...cost } = await usage.end()
await blocks.close()
const answer: DeviceAnswer = { cost, growthBytes, fetched, fetchedBlocks: seen.size }
say(answer)

async function open({ root, releaseKey }: PublishedRelease): Promise<OpenedRelease> {
  return openRelease(await fetchRoot(CID.parse(root)), Uint8Array.fromHex(releaseKey))
}

async function writeWhole(
  whole: OpenedRelease,
  slot: SlotName,
  running: InstalledRelease | null,
): Promise<void> {
  await writeImage(
    { slots },
    { get: fetch, fetch: () => Promise.resolve(undefined), storedBytes: 0 },
    { release: whole, slot, installed: running, folder },
    { onProgress: () => undefined, onStaged: () => undefined },
  )
}

/** Of what runs, only the slot counts here. */
function runningIn(slot: SlotName, { root }: PublishedRelease): InstalledRelease {
  return {
    root,
    version: 'old',
    sequence: 1,
    releaseKeyHash: '0x',
    imageBytes: 0,
    sha256: '0x',
    slot,
    sinceMs: 0,
  }
}
