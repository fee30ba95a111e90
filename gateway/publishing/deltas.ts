/**
 * Patches from the last releases of a model to a new one. Each delta is a pin of its own beside that of the
 * release, with the release as its owner: what happens to the one happens to the other.
 */
import { CID } from 'multiformats/cid'
import { DELTA_BASES, openRelease, packDelta } from '@ioex/node/firmware'
import type { Block, PinSession } from '@ioex/node/storage'
import type { Parts } from '../context.ts'
import { ProblemError } from '../problems.ts'
import { deltasOf, type StoredDelta } from '../store/deltas.ts'
import type { ReleaseRow, UploadRow } from '../store/tables.ts'
import { pinOwnerOf, sessionCid } from './pin-names.ts'

type Needs = Pick<Parts, 'db' | 'keys' | 'node' | 'sessions' | 'log'>

/** Finds nearly all that 19 finds, in a quarter of the time: the gateway has others to serve. */
const ZSTD_LEVEL = 12
/** Blocks that go to disk with one durability barrier. */
const BATCH_BLOCKS = 16

/** Names of the sessions in which the deltas of an upload are made. */
function deltaSessions(upload: Pick<UploadRow, 'id'>): readonly CID[] {
  return Array.from({ length: DELTA_BASES }, (_, index) =>
    sessionCid(`delta ${upload.id} ${index}`),
  )
}

/** Of an upload that broke off. */
export async function dropDeltaSessions(
  { sessions }: Pick<Needs, 'sessions'>,
  upload: Pick<UploadRow, 'id'>,
): Promise<void> {
  for (const session of deltaSessions(upload)) await sessions.drop(session)
}

export async function unpinDeltas(
  { node }: Pick<Needs, 'node'>,
  release: Pick<ReleaseRow, 'id' | 'deltas'>,
): Promise<void> {
  for (const { deltaRoot } of deltasOf(release)) {
    await node.storage.pins.remove(CID.parse(deltaRoot), pinOwnerOf(release.id))
  }
}

/** For a vendor whose keys are here. An earlier release whose blocks or key are gone gets no delta. */
export async function makeDeltas(
  needs: Needs,
  upload: UploadRow,
  next: { readonly root: CID; readonly rootBytes: Uint8Array; readonly releaseKey: Uint8Array },
  options: { readonly signal: AbortSignal },
): Promise<readonly StoredDelta[]> {
  const { keys, node, sessions } = needs
  const { vendor } = upload
  const contentSecret = await keys.get(vendor, 'content-secret')
  if (contentSecret === undefined) return []
  const get = async (cid: CID) => {
    const bytes = await node.storage.blocks.get(cid)
    if (bytes !== undefined) return bytes
    throw new ProblemError('fault', `block ${cid.toString()} is missing`)
  }
  const release = openRelease(next.rootBytes, next.releaseKey)
  const names = deltaSessions(upload)
  const made: StoredDelta[] = []
  for (const [index, base] of (await bases(needs, upload)).entries()) {
    const name = names[index]
    if (name === undefined) break
    const batch = inBatches(await sessions.hold(name))
    const packed = await packDelta(
      { base, next: { root: next.root, release } },
      { get, put: batch.put },
      {
        contentSecret,
        releaseKey: next.releaseKey,
        zstdLevel: ZSTD_LEVEL,
        signal: options.signal,
      },
    )
    if (packed === undefined) {
      await sessions.drop(name)
      continue
    }
    await batch.flush()
    const owner = { owner: pinOwnerOf(next.root.toString()) }
    const pin = await sessions.commit(name, owner, packed.root)
    made.push({
      baseRoot: base.root.toString(),
      deltaRoot: packed.root.toString(),
      bytes: packed.expectedBytes,
      pinBytes: pin.bytes,
    })
  }
  return made
}

async function bases({ db, keys, node }: Needs, { vendor, model }: UploadRow) {
  const earlier = await db
    .selectFrom('releases')
    .select('id')
    .where('vendor', '=', vendor)
    .where('model', '=', model)
    .where('state', 'in', ['published', 'superseded'])
    .orderBy('sequence', 'desc')
    .limit(DELTA_BASES)
    .execute()
  const found = []
  for (const { id } of earlier) {
    const root = CID.parse(id)
    const releaseKey = await keys.get(vendor, `release-key/${id}`)
    const rootBytes = await node.storage.blocks.get(root)
    if (releaseKey === undefined || rootBytes === undefined) continue
    found.push({ root, release: openRelease(rootBytes, releaseKey) })
  }
  return found
}

function inBatches(session: PinSession) {
  let waiting: Block[] = []
  const flush = async () => {
    const batch = waiting
    waiting = []
    if (batch.length > 0) await session.add(batch)
  }
  return {
    async put(block: Block) {
      waiting.push(block)
      if (waiting.length >= BATCH_BLOCKS) await flush()
    },
    flush,
  }
}
