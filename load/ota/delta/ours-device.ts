/** Our device as a process: writes a release into the other slot, from blocks on the disk, as the agent does. */
import { free, holdBytes, silentLog, tuneForSmallMemory } from '@ioex/node/base'
import type { GetBlock } from '@ioex/node/chunks'
import {
  type BlockSource,
  createSlots,
  type InstalledRelease,
  type SlotName,
  type Target,
  writeImage,
} from '@ioex/node/device'
import { openRelease } from '@ioex/node/firmware'
import { CID } from 'multiformats/cid'
import { say, taskOf } from '../../exchange/bench-process.ts'
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

const patches = delta === undefined ? undefined : await openBlockFile(delta.blocks)

const usage = await startOwnUsage()
const releaseKey = Uint8Array.fromHex(release.releaseKey)
const opened = openRelease(await fetchRoot(CID.parse(release.root)), releaseKey)
const fetchDelta = patches === undefined ? undefined : counted(patches.get, () => 'delta')
const { patchedChunks } = await writeImage(
  { slots, log: silentLog },
  {
    get: fetch,
    // As from a file: blocks are there already, and are read when there is room to open them.
    fetch: () => Promise.resolve(undefined),
    read: hold(fetch),
    storedBytes: 0,
    ...(fetchDelta === undefined
      ? {}
      : { delta: { get: fetchDelta, fetch: once(fetchDelta), releaseKey } }),
  },
  {
    target: targetOf(release),
    release: opened,
    slot: installed === undefined ? 'a' : 'b',
    installed: installed === undefined ? null : runningIn('a', installed),
    folder,
  },
  { onProgress: () => undefined, onStaged: () => undefined },
)
const { growthBytes, ...cost } = await usage.end()
await blocks.close()
await patches?.close()
const answer: DeviceAnswer = { cost, growthBytes, fetched, fetchedBlocks: seen.size, patchedChunks }
say(answer)

function hold(get: GetBlock): NonNullable<BlockSource['read']> {
  return async (cid, options) => holdBytes(await get(cid, options))
}

/** As a session puts a block on the disk: whoever wants it meanwhile waits for the same one. */
function once(get: GetBlock): NonNullable<BlockSource['delta']>['fetch'] {
  const coming = new Map<string, Promise<void>>()
  return (cid, options) => {
    const name = cid.toString()
    const known = coming.get(name) ?? get(cid, options).then(free)
    coming.set(name, known)
    return known
  }
}

function targetOf({ root }: PublishedRelease): Target {
  return {
    root,
    version: 'bench',
    sequence: 1,
    releaseKeyHash: '0x',
    ...(delta === undefined || installed === undefined
      ? {}
      : { delta: { base: installed.root, root: delta.root } }),
  }
}

/** Of what runs, only root and slot count here. */
function runningIn(slot: SlotName, running: PublishedRelease): InstalledRelease {
  return { ...targetOf(running), imageBytes: 0, sha256: '0x', slot, sinceMs: 0 }
}
