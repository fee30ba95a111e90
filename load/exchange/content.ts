/**
 * What is moved: random bytes, sealed as the product seals a release (unique blocks of 64 KiB on average, cut by
 * content, below a tree of nodes) and pinned in the store of our sender. The others get the same blocks out of
 * that store; the plain file is what nginx serves and what Kubo cuts into 1 MiB.
 */
import { randomBytes } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { MIB, silentLog, systemClock } from '@ioex/node/base'
import { PROFILE_64K, sealFile } from '@ioex/node/chunks'
import { type Block, createStorage } from '@ioex/node/storage'
import { CID } from 'multiformats/cid'

export interface Content {
  readonly plainFile: string
  readonly plainBytes: number
  readonly root: CID
  readonly blocks: number
  readonly blockBytes: number
  /** Of our sender: has the tree pinned. */
  readonly senderHome: string
}

/** What firmware is packed with; random bytes take the same at any level. */
const ZSTD_LEVEL = 3
/** Random bytes in one write. */
const PIECE_BYTES = 4 * MIB
/** A pin session opens under any CID when the root is not known yet. */
const ANY_CID = CID.parse('bafyreigbtj4x7ip5legnfznufuopl4sg4knzc2cof6duas4b3q2fy6swua')

/** Room for the content, the segments that storage holds besides, and its index. */
export function quotaFor(plainBytes: number): number {
  return 2 * plainBytes + 512 * MIB
}

export async function makeContent(folder: string, mib: number): Promise<Content> {
  const plainFile = join(folder, 'content.bin')
  const plainBytes = mib * MIB
  await writeRandom(plainFile, plainBytes)
  const senderHome = join(folder, 'ours-sender')
  const storage = senderStorage({ senderHome, plainBytes })
  let blocks = 0
  let blockBytes = 0
  await storage.start()
  try {
    const pin = await storage.pins.open(ANY_CID)
    const sealed = await sealFile(
      createReadStream(plainFile, { highWaterMark: MIB }),
      async (block) => {
        blocks++
        blockBytes += block.bytes.byteLength
        await pin.add([block])
      },
      { profile: PROFILE_64K, secret: randomBytes(32), zstdLevel: ZSTD_LEVEL },
    )
    const root = sealed.tree.cid
    await pin.commit({ owner: 'order:bench' }, root)
    return { plainFile, plainBytes, root, blocks, blockBytes, senderHome }
  } finally {
    await storage.stop()
  }
}

/** Every block of the tree, once, in no particular order. */
export async function eachBlock(
  content: Content,
  take: (block: Block) => Promise<void>,
): Promise<void> {
  const storage = senderStorage(content)
  await storage.start()
  try {
    for await (const cid of storage.pins.blocks(content.root)) {
      const bytes = await storage.blocks.get(cid)
      if (bytes === undefined) throw new Error(`the sender's store has lost ${cid.toString()}`)
      await take({ cid, bytes })
    }
  } finally {
    await storage.stop()
  }
}

function senderStorage({ senderHome, plainBytes }: Pick<Content, 'senderHome' | 'plainBytes'>) {
  return createStorage(
    { clock: systemClock, log: silentLog },
    { folder: join(senderHome, 'storage'), quotaBytes: quotaFor(plainBytes) },
  )
}

async function writeRandom(path: string, bytes: number): Promise<void> {
  const file = await open(path, 'wx')
  try {
    for (let left = bytes; left > 0; left -= PIECE_BYTES) {
      await file.write(randomBytes(Math.min(left, PIECE_BYTES)))
    }
    await file.datasync()
  } finally {
    await file.close()
  }
}
