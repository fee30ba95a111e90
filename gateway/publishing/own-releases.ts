import { decode } from '@ipld/dag-cbor'
import { CarBlockIterator } from '@ipld/car'
import type { ReleaseCreateSchema } from '@ioex/node/api'
import { BLOCK_MAX_BYTES } from '@ioex/node/api'
import { asError, codeOf, MIB } from '@ioex/node/base'
import { isDeltaBetween, parseReleaseRoot } from '@ioex/node/firmware'
import type { Block, PinSession } from '@ioex/node/storage'
import type { CID } from 'multiformats/cid'
import type { z } from 'zod'
import type { Parts } from '../context.ts'
import { BLOCKS_MAX_BYTES } from '../limits.ts'
import { ProblemError } from '../problems.ts'
import { DAG_CBOR_CODEC, linksIn, parseCid } from '../store/cids.ts'
import type { StoredDelta } from '../store/deltas.ts'
import type { ReleaseRow, UploadRow } from '../store/tables.ts'
import { type Body, readBody } from './body-source.ts'
import { unpinDeltas } from './deltas.ts'
import { pinOwnerOf, sessionCid } from './pin-names.ts'
import { mustBeNew } from './publishing.ts'
import { createTufRepository, decodeMetadata } from './tuf-repository.ts'
import { storeWrap } from './wraps.ts'

/** Blocks that go to disk with one durability barrier. */
const FLUSH_BYTES = 4 * MIB
/** A CAR's reader holds a block until all of it is there, so it must not be let wait for one that never ends. */
const CAR_SECTION_MAX_BYTES = BLOCK_MAX_BYTES + MIB

export interface OwnReleases {
  /** Takes blocks from a CAR; each is checked against its CID and durable before the answer. */
  storeBlocks(
    vendor: string,
    root: string,
    body: Body,
  ): Promise<{ readonly blocks: number; readonly bytes: number }>
  /** Makes a release of blocks that are here and metadata that the vendor signed. */
  publish(vendor: string, what: z.infer<typeof ReleaseCreateSchema>): Promise<ReleaseRow>
}

/** For vendors who pack, seal and sign on their own machines: here is ciphertext only. */
export function createOwnReleases(parts: Parts): OwnReleases {
  const { db, clock, node } = parts

  const mustBeOwn = async (vendor: string) => {
    const row = await db
      .selectFrom('vendors')
      .select('custody')
      .where('id', '=', vendor)
      .executeTakeFirst()
    if (row === undefined) throw new ProblemError('not-found', `there is no vendor ${vendor}`)
    if (row.custody === 'own') return
    throw new ProblemError('custody-wrong', 'the gateway packs and signs for this vendor', {
      fix: 'Send the image itself: curl -T FILE',
    })
  }

  const sessionOf = (vendor: string, root: string) => sessionCid(`blocks ${vendor} ${root}`)

  return {
    async storeBlocks(vendor, root, body) {
      await mustBeOwn(vendor)
      const sessionRoot = sessionOf(vendor, root)
      const upload: UploadRow = {
        id: sessionRoot.toString(),
        vendor,
        model: '',
        version: '',
        notes: '',
        rollout_plan: null,
        created_ms: clock.nowMs(),
        session: sessionRoot.toString(),
        kind: 'blocks',
      }
      await db
        .insertInto('uploads')
        .values(upload)
        .onConflict((conflict) =>
          conflict.column('id').doUpdateSet({ created_ms: upload.created_ms }),
        )
        .execute()
      return storeCar(parts, await parts.sessions.hold(sessionRoot), body)
    },

    async publish(vendor, what) {
      await mustBeOwn(vendor)
      const root = parseCid(what.root)
      const rootBytes = await node.storage.blocks.get(root)
      if (rootBytes === undefined) throw missing([root])
      const named = parseReleaseRoot(rootBytes)
      const [target, ...others] = await createTufRepository(parts).check(
        vendor,
        decodeMetadata(what.metadata),
      )
      const isSame =
        target?.root.toString() === root.toString() &&
        target.model === named.model &&
        target.version === named.version &&
        target.rootBytes === rootBytes.byteLength &&
        named.vendor === vendor
      if (target === undefined || others.length > 0 || !isSame) {
        throw new ProblemError('tuf-invalid', 'the metadata does not add exactly this release', {
          fix: 'Sign the target of the root that is published, for this vendor, and nothing else.',
        })
      }
      await mustBeNew(parts, { vendor, model: named.model, version: named.version })
      await mustHaveNoDraft(parts, vendor)
      const sessionRoot = sessionOf(vendor, what.root)
      const session = await parts.sessions.hold(sessionRoot)
      await adoptAll(parts, session, root)
      const owner = { owner: pinOwnerOf(what.root) }
      const pin = await parts.sessions.commit(sessionRoot, owner, root)
      const deltas: StoredDelta[] = []
      for (const { baseRoot, deltaRoot, bytes } of target.deltas) {
        const deltaBytes = await node.storage.blocks.get(deltaRoot)
        if (deltaBytes === undefined) throw missing([deltaRoot])
        if (!isDeltaBetween(deltaBytes, { base: baseRoot, release: root })) {
          throw new ProblemError('tuf-invalid', `${deltaRoot} holds no patches to this release`, {
            fix: 'Publish again with: ioex firmware publish',
          })
        }
        const deltaSession = sessionOf(vendor, deltaRoot.toString())
        await adoptAll(parts, await parts.sessions.hold(deltaSession), deltaRoot)
        const deltaPin = await parts.sessions.commit(deltaSession, owner, deltaRoot)
        deltas.push({
          baseRoot: baseRoot.toString(),
          deltaRoot: deltaRoot.toString(),
          bytes,
          pinBytes: deltaPin.bytes,
        })
      }
      const release: ReleaseRow = {
        id: what.root,
        vendor,
        model: named.model,
        version: named.version,
        notes: what.notes,
        state: 'draft',
        sequence: null,
        root_bytes: rootBytes.byteLength,
        created_ms: clock.nowMs(),
        published_ms: null,
        withdrawn_ms: null,
        image_bytes: named.imageBytes,
        image_sha256: null,
        sealed_bytes: pin.bytes,
        chunks: null,
        new_bytes: null,
        release_key_hash: target.releaseKeyHash,
        deltas: JSON.stringify(deltas),
        pending_metadata: JSON.stringify(what.metadata),
        // The vendor's own metadata has the policy.
        rollout_plan: null,
      }
      try {
        await db.transaction().execute(async (transaction) => {
          await transaction.insertInto('releases').values(release).execute()
          for (const { devices, wrap } of what.wraps) {
            const bytes = new Uint8Array(Buffer.from(wrap, 'base64'))
            await storeWrap({ ...parts, db: transaction }, what.root, bytes, devices)
          }
          const sessions = [what.root, ...deltas.map(({ deltaRoot }) => deltaRoot)]
          for (const name of sessions) {
            const id = sessionOf(vendor, name).toString()
            await transaction.deleteFrom('uploads').where('id', '=', id).execute()
          }
        })
      } catch (thrown) {
        await node.storage.pins.remove(root, pinOwnerOf(what.root))
        await unpinDeltas(parts, release)
        throw thrown
      }
      return parts.publishing.advance(release)
    },
  }
}

/** The metadata of a second one would be signed over versions that the first is about to use up. */
async function mustHaveNoDraft({ db }: Pick<Parts, 'db'>, vendor: string): Promise<void> {
  const draft = await db
    .selectFrom('releases')
    .select('version')
    .where('vendor', '=', vendor)
    .where('state', '=', 'draft')
    .executeTakeFirst()
  if (draft === undefined) return
  throw new ProblemError('too-many', `version ${draft.version} waits for its copies`, {
    fix: 'Publish the next one when it is published, or withdraw it.',
  })
}

async function storeCar(
  { clock, metrics }: Pick<Parts, 'clock' | 'metrics'>,
  session: PinSession,
  body: Body,
): Promise<{ readonly blocks: number; readonly bytes: number }> {
  let sinceBlock = 0
  let total = 0
  const stop = new AbortController()
  async function* bounded(): AsyncGenerator<Uint8Array> {
    const source = readBody({ clock }, body, {
      maxBytes: BLOCKS_MAX_BYTES,
      signal: stop.signal,
      onBytes: (received) => {
        metrics.receivedBytes.inc(received - total)
        total = received
      },
    })
    for await (const part of source) {
      sinceBlock += part.byteLength
      if (sinceBlock > CAR_SECTION_MAX_BYTES) {
        throw new ProblemError('block-invalid', `a block has over ${BLOCK_MAX_BYTES} bytes`, {
          fix: 'Send blocks as packing makes them, at most 2 MiB each.',
        })
      }
      yield part
    }
  }
  let waiting: Block[] = []
  let waitingBytes = 0
  let blocks = 0
  let bytes = 0
  const flush = async () => {
    await session.add(waiting)
    waiting = []
    waitingBytes = 0
  }
  try {
    for await (const block of await CarBlockIterator.fromIterable(bounded())) {
      sinceBlock = 0
      waiting.push(block)
      waitingBytes += block.bytes.byteLength
      bytes += block.bytes.byteLength
      blocks++
      if (waitingBytes >= FLUSH_BYTES) await flush()
    }
    if (waiting.length > 0) await flush()
  } catch (thrown) {
    if (thrown instanceof ProblemError) throw thrown
    const code = codeOf(thrown)
    if (code === 'quota-exceeded' || code === 'disk-full') throw thrown
    throw new ProblemError('block-invalid', `the CAR cannot be read: ${asError(thrown).message}`, {
      fix: 'Send a CAR, version 1, whose blocks match their CIDs (sha2-256).',
      cause: thrown,
    })
  } finally {
    stop.abort()
  }
  return { blocks, bytes }
}

/** Counts every block below the root to the session. Throws `blocks-missing`. */
async function adoptAll(
  { node }: Pick<Parts, 'node'>,
  session: PinSession,
  root: CID,
): Promise<void> {
  const seen = new Set([root.toString()])
  const waiting = [root]
  for (let cid = waiting.pop(); cid !== undefined; cid = waiting.pop()) {
    if (!(await session.adopt(cid))) throw missing([cid])
    if (cid.code !== DAG_CBOR_CODEC) continue
    const bytes = await node.storage.blocks.get(cid)
    if (bytes === undefined) throw missing([cid])
    for (const link of linksIn(decode(bytes))) {
      if (seen.has(link.toString())) continue
      seen.add(link.toString())
      waiting.push(link)
    }
  }
}

function missing(cids: readonly CID[]): ProblemError {
  return new ProblemError('blocks-missing', `${cids.join(', ')} is not here`, {
    fix: 'Send the blocks to /v1/vendors/{vendor}/blocks first.',
  })
}
