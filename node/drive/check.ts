import type { PeerId } from '@libp2p/interface'
import type { CID } from 'multiformats/cid'
import type { AbortOptions } from '../base/index.ts'
import { nodeLinks } from '../chunks/index.ts'
import type { Block } from '../storage/index.ts'
import { type Catalog, type CatalogNeeds, sourcesOf } from './catalog.ts'
import { hasBlock, NONCE_BYTES } from './keeping.ts'
import {
  CATALOG_GIVE_UP_MS,
  CHECK_AT_ONCE,
  CHECK_DEFAULT_SHARE,
  CHECK_MAX_BLOCKS,
  CHECK_PATHS,
} from './limits.ts'
import type { CatalogEntry } from './snapshot.ts'
import type { CheckReport } from './types.ts'

interface Sampled {
  readonly root: CID
  readonly cid: CID
}

const DAG_CBOR = 0x71

/** Lets every peer prove the same random blocks, which this machine has itself. */
export async function checkPeers(
  catalog: Catalog,
  newest: CatalogEntry,
  share: number | undefined,
  needs: CatalogNeeds,
  options: AbortOptions,
): Promise<CheckReport> {
  const here = await sampleOf(catalog.snapshots, share ?? CHECK_DEFAULT_SHARE, needs)
  const sample = here.length > 0 ? here : await pathsFrom(newest, catalog.peers, needs, options)
  const peers = catalog.peers.map((peer) => ask(peer, sample, needs, options))
  return { peers: await Promise.all(peers) }
}

async function ask(
  peer: PeerId,
  sample: readonly Sampled[],
  needs: CatalogNeeds,
  options: AbortOptions,
): Promise<CheckReport['peers'][number]> {
  const told = { reachable: true, sampledBlocks: 0, damagedOrMissing: 0 }
  const waiting = sample.values()
  const worker = async () => {
    for (const { root, cid } of waiting) {
      const bytes = await needs.storage.blocks.get(cid)
      if (bytes === undefined) continue
      const block: Block = { cid, bytes }
      const nonce = needs.random.bytes(NONCE_BYTES)
      const has = told.reachable
        ? await hasBlock(needs, peer, root, block, nonce, options)
        : undefined
      if (has === undefined) {
        told.reachable = false
        return
      }
      told.sampledBlocks++
      if (!has) told.damagedOrMissing++
    }
  }
  await Promise.all(Array.from({ length: CHECK_AT_ONCE }, worker))
  return { peerId: peer.toString(), ...told }
}

/** A uniform sample over the blocks of all snapshots that are pinned here (reservoir sampling, Vitter's R). */
async function sampleOf(
  snapshots: readonly CatalogEntry[],
  share: number,
  { storage, random }: CatalogNeeds,
): Promise<Sampled[]> {
  let total = 0
  for (const { root } of snapshots) total += (await storage.pins.get(root))?.blocks ?? 0
  const wanted = Math.min(Math.ceil(total * share), CHECK_MAX_BLOCKS)
  const sample: Sampled[] = []
  let seen = 0
  for (const { root } of snapshots) {
    for await (const cid of storage.pins.blocks(root)) {
      seen++
      if (sample.length < wanted) sample.push({ root, cid })
      else {
        const at = random.int(seen)
        if (at < wanted) sample[at] = { root, cid }
      }
    }
  }
  return sample
}

/** On a machine without the blocks: random ways from the root down, read from whoever has them. */
async function pathsFrom(
  { root }: CatalogEntry,
  peers: readonly PeerId[],
  needs: CatalogNeeds,
  options: AbortOptions,
): Promise<Sampled[]> {
  const pin = await needs.storage.pins.open(root)
  const session = needs.exchange.openSession({
    root,
    sources: sourcesOf(peers, needs),
    pin,
    giveUpAfterMs: CATALOG_GIVE_UP_MS,
  })
  const sample = new Map<string, Sampled>()
  try {
    for (let path = 0; path < CHECK_PATHS; path++) {
      let cid: CID | undefined = root
      while (cid !== undefined) {
        sample.set(cid.toString(), { root, cid })
        const bytes: Uint8Array = await session.get(cid, options)
        const links: readonly CID[] = cid.code === DAG_CBOR ? nodeLinks(bytes) : []
        cid = links.length === 0 ? undefined : links[needs.random.int(links.length)]
      }
    }
  } finally {
    await session.close()
  }
  return [...sample.values()]
}
