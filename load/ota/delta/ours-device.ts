/** Our device as a process: writes a release into the other slot, from blocks on the disk, as the agent does. */
import { systemClock, tuneForSmallMemory } from '@ioex/node/base'
import { createSlots, type InstalledRelease, type SlotName, writeImage } from '@ioex/node/device'
import { type OpenedRelease, openRelease } from '@ioex/node/firmware'
import { CID } from 'multiformats/cid'
import { say, taskOf } from '../../exchange/bench-process.ts'
import { openBlockFile } from './block-file.ts'
import type { DeviceAnswer, DeviceTask, PublishedRelease } from './ours-tasks.ts'
import { startOwnUsage } from './own-usage.ts'

const DAG_CBOR_CODEC = 0x71

tuneForSmallMemory()
const { release, installed, slots: folder } = taskOf<DeviceTask>()
const slots = createSlots(folder)
const blocks = await openBlockFile(release.blocks)
const fetched = { root: 0, nodes: 0, chunks: 0 }
/** A block that comes again is in the device's store, and fetched once. */
const seen = new Set<string>()

const usage = await startOwnUsage()
const opened = await open(release)
const { reusedChunks } = await writeImage(
  { slots },
  { get: fetch, fetch: () => Promise.resolve(undefined), storedBytes: 0 },
  {
    release: opened,
    slot: installed === undefined ? 'a' : 'b',
    installed: installed === undefined ? null : runningIn('a', installed),
    folder,
  },
  { onProgress: () => undefined, onStaged: () => undefined },
)
const { growthBytes, ...cost } = await usage.end()
await blocks.close()
const answer: DeviceAnswer = {
  cost,
  growthBytes,
  fetched,
  fetchedBlocks: 1 + seen.size,
  reusedChunks,
}
say(answer)

async function open({ root, releaseKey }: PublishedRelease): Promise<OpenedRelease> {
  const bytes = await blocks.get(CID.parse(root))
  fetched.root += bytes.byteLength
  return openRelease(bytes, Uint8Array.fromHex(releaseKey))
}

async function fetch(cid: CID): Promise<Uint8Array> {
  const bytes = await blocks.get(cid)
  if (seen.has(cid.toString())) return bytes
  seen.add(cid.toString())
  fetched[cid.code === DAG_CBOR_CODEC ? 'nodes' : 'chunks'] += bytes.byteLength
  return bytes
}

function runningIn(slot: SlotName, { root }: PublishedRelease): InstalledRelease {
  return {
    root,
    version: 'old',
    sequence: 1,
    releaseKeyHash: '0x',
    imageBytes: 0,
    sha256: '0x',
    slot,
    sinceMs: systemClock.nowMs(),
  }
}
