/** Our publisher as a process: the old release first, then the new one, which is what is measured. */
import { hash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { join } from 'node:path'
import { COHORT_MAX_DEVICES } from '@ioex/node/api'
import { MIB } from '@ioex/node/base'
import type { TreeRef } from '@ioex/node/chunks'
import {
  collectKnown,
  openRelease,
  packDelta,
  type PackOptions,
  packRelease,
  wrapReleaseKey,
} from '@ioex/node/firmware'
import { createIdentity } from '@ioex/node/identity'
import { CID } from 'multiformats/cid'
import { say, taskOf } from '../../exchange/bench-process.ts'
import { type BlockFile, createBlockFile, openBlockFile } from './block-file.ts'
import type { PublishAnswer, PublishedDelta, PublishedRelease, PublishTask } from './ours-tasks.ts'
import { startOwnUsage } from './own-usage.ts'
import type { Cost } from './types.ts'

/** What a publisher uses. */
const ZSTD_LEVEL = 19
/** Of the old release not a byte is counted, so it is packed quickly. */
const OLD_ZSTD_LEVEL = 1
/** The same in each run, so that a run can be repeated. */
const SECRET = new Uint8Array(hash('sha256', 'a content secret for benches', 'buffer'))
const VENDOR = '0x00000000000000000000000000000000000000be'

const task = taskOf<PublishTask>()
const old = await publish('old', OLD_ZSTD_LEVEL)
const usage = await startOwnUsage()
const fresh = await publish('new', ZSTD_LEVEL, old)
const cost = costOf(await usage.end())
const patching = await startOwnUsage()
const delta = task.patches ? await publishDelta(old, fresh) : undefined
const patchCost = costOf(await patching.end())
const answer: PublishAnswer = {
  old,
  new: fresh,
  wrapBytes: await wrapBytes(fresh),
  cost,
  ...(delta === undefined ? {} : { delta: { ...delta, cost: patchCost } }),
}
say(answer)

function costOf({ cpuSeconds, peakRssBytes }: Cost): Cost {
  return { cpuSeconds, peakRssBytes }
}

async function publish(
  which: 'old' | 'new',
  zstdLevel: number,
  base?: PublishedRelease & { readonly tree: TreeRef },
): Promise<PublishedRelease & { readonly tree: TreeRef }> {
  const blocks = join(task.folder, `${which}.blocks`)
  const file = await createBlockFile(blocks)
  const options: PackOptions = {
    vendor: VENDOR,
    model: 'bench',
    version: which,
    contentSecret: SECRET,
    zstdLevel,
    profile: task.profile,
    ...(base === undefined ? {} : { known: await knownOf(base) }),
  }
  const source = createReadStream(task[which], { highWaterMark: MIB })
  const { root, releaseKey, tree } = await packRelease(source, file.put, options)
  await file.close()
  return { root: root.toString(), releaseKey: releaseKey.toHex(), blocks, tree }
}

async function knownOf({ blocks, tree }: { blocks: string; tree: TreeRef }) {
  const file = await openBlockFile(blocks)
  try {
    return await collectKnown([tree], file.get)
  } finally {
    await file.close()
  }
}

async function publishDelta(
  from: PublishedRelease,
  to: PublishedRelease,
): Promise<Omit<PublishedDelta, 'cost'>> {
  const blocks = join(task.folder, 'delta.blocks')
  const [file, base, next] = [
    await createBlockFile(blocks),
    await openBlockFile(from.blocks),
    await openBlockFile(to.blocks),
  ]
  try {
    const end = async ({ root, releaseKey }: PublishedRelease, { get }: BlockFile) => {
      const cid = CID.parse(root)
      return { root: cid, release: openRelease(await get(cid), Uint8Array.fromHex(releaseKey)) }
    }
    const packed = await packDelta(
      { base: await end(from, base), next: await end(to, next) },
      // Chunks that both have are in the first file only.
      { put: file.put, get: async (cid) => (next.has(cid) ? next : base).get(cid) },
      {
        contentSecret: SECRET,
        releaseKey: Uint8Array.fromHex(to.releaseKey),
        zstdLevel: ZSTD_LEVEL,
      },
    )
    if (packed === undefined) throw new Error('patches would save too little')
    return { root: packed.root.toString(), blocks }
  } finally {
    await file.close()
    await base.close()
    await next.close()
  }
}

/** As every device of a full cohort fetches it. */
async function wrapBytes({ releaseKey }: PublishedRelease): Promise<number> {
  const recipients = Array.from({ length: COHORT_MAX_DEVICES }, (_, index) => {
    const seed = hash('sha256', `device ${index}`, 'buffer')
    return createIdentity(new Uint8Array(seed)).ageRecipient
  })
  return (await wrapReleaseKey(Uint8Array.fromHex(releaseKey), recipients)).byteLength
}
