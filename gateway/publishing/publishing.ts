/**
 * From an upload to a release that devices can fetch. Each step is durable before the next begins:
 *
 * 1. *receiving*: a row in `uploads`, blocks in a pin session. What breaks off is dropped whole; after a crash
 *    it is dropped at the next start.
 * 2. *draft*: the pin, then one transaction that makes the release and its key and ends the upload.
 * 3. *pinning*: seeds take copies, each noted at once. Goes on after a crash and whenever a seed turns up.
 * 4. *published*: TUF metadata and state in one transaction, then the announcement.
 */
import { releaseKeyHash } from '@ioex/node/firmware'
import { toHex } from '@ioex/node/base'
import { CID } from 'multiformats/cid'
import type { Parts } from '../context.ts'
import {
  IMAGE_MAX_BYTES,
  PIN_RETRY_FIRST_MS,
  PIN_RETRY_MAX_MS,
  TUF_RENEWAL_CHECK_MS,
  UPLOAD_IDLE_MS,
  UPLOADS_AT_ONCE,
  UPLOADS_OPEN_PER_VENDOR,
} from '../limits.ts'
import { briefOf } from '../middleware/problem.ts'
import { ProblemError } from '../problems.ts'
import type { StoredDelta } from '../store/deltas.ts'
import type { ReleaseRow, UploadRow } from '../store/tables.ts'
import { type Body, readBody } from './body-source.ts'
import { dropDeltaSessions, makeDeltas, unpinDeltas } from './deltas.ts'
import { pinOwnerOf, releaseOfOwner, sessionCid } from './pin-names.ts'
import { pinAtSeeds } from './pinning.ts'
import { publish } from './publish.ts'
import { receiveImage } from './receive-image.ts'
import { createTufRepository } from './tuf-repository.ts'
import type { NewUpload, Publishing } from './types.ts'
import { createUploadTrackers, type UploadTracker } from './upload-progress.ts'
import { wrapForAll } from './wraps.ts'

type Needs = Omit<Parts, 'publishing' | 'rollouts' | 'limiters' | 'tokens' | 'vault'>

export function createPublishing(needs: Needs): Publishing {
  const { db, clock, node, options, log } = needs
  const trackers = createUploadTrackers()
  const stopping = new AbortController()
  const advancing = new Map<string, Promise<ReleaseRow>>()
  const receiving = new Set<Promise<unknown>>()
  /** Who watches a draft, whether its upload or a later try brings it on. */
  const watched = new Map<string, UploadTracker>()
  let retryMs = PIN_RETRY_FIRST_MS
  let cancelRetry: (() => void) | undefined
  let cancelRenewal: (() => void) | undefined

  const dropUpload = async (upload: UploadRow) => {
    await needs.sessions.drop(CID.parse(upload.session))
    await dropDeltaSessions(needs, upload)
    await db.deleteFrom('uploads').where('id', '=', upload.id).execute()
  }

  const retryLater = () => {
    if (cancelRetry !== undefined || stopping.signal.aborted) return
    cancelRetry = clock.after(retryMs, () => {
      cancelRetry = undefined
      retryMs = Math.min(retryMs * 2, PIN_RETRY_MAX_MS)
      void advanceDrafts()
    })
  }

  const advanceDrafts = async () => {
    try {
      const drafts = await db
        .selectFrom('releases')
        .selectAll()
        .where('state', '=', 'draft')
        .orderBy('created_ms')
        .execute()
      for (const draft of drafts) {
        if (stopping.signal.aborted) return
        try {
          await publishing.advance(draft)
        } catch (thrown) {
          if (stopping.signal.aborted) return
          log.error({ release: draft.id, error: thrown }, 'a draft could not be gone on with')
          retryLater()
        }
      }
    } catch (thrown) {
      if (stopping.signal.aborted) return
      log.error({ error: thrown }, 'drafts could not be gone on with')
      retryLater()
    }
  }

  const advanceNow = async (release: ReleaseRow) => {
    const tracker = watched.get(release.id)
    const imageBytes = release.image_bytes ?? release.sealed_bytes
    const copies = await pinAtSeeds(needs, release, {
      copiesWanted: options.copiesWanted,
      signal: stopping.signal,
      onProgress: (bytes) =>
        tracker?.work({ pinnedBytes: (bytes / release.sealed_bytes) * imageBytes }),
      onCopy: (count) => {
        tracker?.update({ phase: 'pinning', copies: count })
        needs.releaseEvents.changed(release.id)
      },
    })
    if (copies < options.copiesWanted) {
      retryLater()
      return release
    }
    retryMs = PIN_RETRY_FIRST_MS
    tracker?.update({ phase: 'signing', copies })
    const published = await publish(needs, release)
    tracker?.update({ phase: 'published' })
    watched.delete(release.id)
    return published
  }

  /** Drops what a crash has left: uploads without an end, pins without a release. */
  const cleanUp = async () => {
    const uploads = await db.selectFrom('uploads').selectAll().execute()
    const oldestMs = clock.nowMs() - UPLOAD_IDLE_MS
    for (const upload of uploads) {
      // Blocks that an own-keys vendor has sent may wait for their release; they get the same hour.
      if (upload.kind === 'image' || upload.created_ms < oldestMs) await dropUpload(upload)
    }
    for await (const pin of node.storage.pins.list()) {
      for (const { owner } of pin.owners) {
        const id = releaseOfOwner(owner)
        if (id === undefined) continue
        const release = await db
          .selectFrom('releases')
          .select('id')
          .where('id', '=', id)
          .where('state', '!=', 'withdrawn')
          .executeTakeFirst()
        if (release === undefined) await node.storage.pins.remove(pin.root, owner)
      }
    }
  }

  const renew = async () => {
    try {
      await createTufRepository(needs).renewAll()
      await cleanIdle()
    } catch (thrown) {
      log.error({ error: thrown }, 'TUF metadata could not be renewed')
    }
    if (stopping.signal.aborted) return
    cancelRenewal = clock.after(TUF_RENEWAL_CHECK_MS, () => void renew())
  }

  const cleanIdle = async () => {
    const idle = await db
      .selectFrom('uploads')
      .selectAll()
      .where('created_ms', '<', clock.nowMs() - UPLOAD_IDLE_MS)
      .execute()
    for (const upload of idle) {
      const phase = trackers.get(upload.id)?.state.phase
      const isMoving = phase !== undefined && trackers.get(upload.id)?.state.receivedBytes !== 0
      if (!isMoving) await dropUpload(upload)
    }
  }

  const receiveNow = async (upload: UploadRow, body: Body, tracker: UploadTracker) => {
    const sessionName = CID.parse(upload.session)
    const session = await needs.sessions.hold(sessionName)
    const source = readBody(needs, body, {
      maxBytes: IMAGE_MAX_BYTES,
      signal: stopping.signal,
      onBytes: (receivedBytes) => {
        needs.metrics.receivedBytes.inc(receivedBytes - tracker.state.receivedBytes)
        tracker.update({ receivedBytes })
      },
    })
    const packed = await receiveImage(needs, upload, source, session, {
      signal: stopping.signal,
      onPacked: (packedBytes) => {
        const phase = packedBytes < tracker.state.receivedBytes ? 'receiving' : 'packing'
        tracker.update({ phase })
        tracker.work({ packedBytes })
      },
    })
    tracker.update({ phase: 'sealing', totalBytes: packed.imageBytes })
    const root = packed.root.toString()
    const pin = await needs.sessions.commit(sessionName, { owner: pinOwnerOf(root) }, packed.root)
    let deltas: readonly StoredDelta[] = []
    try {
      deltas = await makeDeltas(needs, upload, packed, { signal: stopping.signal })
      const release = await db.transaction().execute(async (transaction) => {
        const row: ReleaseRow = {
          id: root,
          vendor: upload.vendor,
          model: upload.model,
          version: upload.version,
          notes: upload.notes,
          state: 'draft',
          sequence: null,
          root_bytes: packed.rootBytes.byteLength,
          created_ms: clock.nowMs(),
          published_ms: null,
          withdrawn_ms: null,
          image_bytes: packed.imageBytes,
          image_sha256: toHex(packed.imageHash),
          sealed_bytes: pin.bytes,
          chunks: packed.chunks,
          new_bytes: packed.newBytes,
          release_key_hash: releaseKeyHash(packed.releaseKey),
          deltas: JSON.stringify(deltas),
          pending_metadata: null,
          rollout_plan: upload.rollout_plan,
        }
        await transaction.insertInto('releases').values(row).execute()
        await needs.keys.put(transaction, row.vendor, `release-key/${root}`, packed.releaseKey)
        await transaction.deleteFrom('uploads').where('id', '=', upload.id).execute()
        return row
      })
      // Before anything is waited for: a seed that turns up now may bring the draft on.
      watched.set(root, tracker)
      tracker.update({ phase: 'pinning', release: root })
      await wrapForAll(needs, release, packed.releaseKey)
      return release
    } catch (thrown) {
      const stored = await db
        .selectFrom('releases')
        .select('id')
        .where('id', '=', root)
        .executeTakeFirst()
      if (stored === undefined) {
        await node.storage.pins.remove(packed.root, pinOwnerOf(root))
        await unpinDeltas(needs, { id: root, deltas: JSON.stringify(deltas) })
      }
      throw thrown
    }
  }

  const publishing: Publishing = {
    trackers,
    async open(what) {
      const { vendor, model, version, notes, rollout } = what
      const owner = await db
        .selectFrom('vendors')
        .select('custody')
        .where('id', '=', vendor)
        .executeTakeFirst()
      if (owner === undefined) throw new ProblemError('not-found', `there is no vendor ${vendor}`)
      if (owner.custody === 'own') {
        throw new ProblemError('custody-wrong', 'this vendor packs and signs with its own keys', {
          fix: 'Publish with: ioex firmware publish FILE --model M --version V',
        })
      }
      await mustBeNew(needs, what)
      const open = await db
        .selectFrom('uploads')
        .select('id')
        .where('vendor', '=', vendor)
        .execute()
      if (open.length >= UPLOADS_OPEN_PER_VENDOR) {
        throw new ProblemError('too-many', `${open.length} uploads are open`, {
          fix: 'Send their bodies first; those without one are forgotten after an hour.',
        })
      }
      const id = Buffer.from(needs.random.bytes(16)).toString('hex')
      const upload: UploadRow = {
        id,
        vendor,
        model,
        version,
        notes,
        rollout_plan: rollout === undefined ? null : JSON.stringify(rollout),
        created_ms: clock.nowMs(),
        session: sessionCid(`upload ${id}`).toString(),
        kind: 'image',
      }
      await db.insertInto('uploads').values(upload).execute()
      trackers.begin(id, options.copiesWanted)
      return upload
    },
    async receive(upload, body) {
      if (receiving.size >= UPLOADS_AT_ONCE) {
        await dropUpload(upload)
        throw new ProblemError('busy', `${UPLOADS_AT_ONCE} uploads are running`, {
          fix: 'Try again in some minutes.',
          headers: { 'retry-after': '60' },
        })
      }
      const tracker = trackers.get(upload.id) ?? trackers.begin(upload.id, options.copiesWanted)
      tracker.update({ totalBytes: body.lengthBytes ?? null })
      const work = receiveNow(upload, body, tracker)
      receiving.add(work)
      let release: ReleaseRow
      try {
        release = await work
      } catch (thrown) {
        await dropUpload(upload)
        tracker.update({ phase: 'failed', problem: briefOf(thrown) })
        throw thrown
      } finally {
        receiving.delete(work)
      }
      return publishing.advance(release)
    },
    advance(release) {
      const running = advancing.get(release.id)
      if (running !== undefined) return running
      const work = advanceNow(release).finally(() => advancing.delete(release.id))
      advancing.set(release.id, work)
      return work
    },
    wake() {
      cancelRetry?.()
      cancelRetry = undefined
      retryMs = PIN_RETRY_FIRST_MS
      void advanceDrafts()
    },
    async start() {
      await cleanUp()
      await renew()
      void advanceDrafts()
    },
    async stop() {
      stopping.abort()
      cancelRetry?.()
      cancelRenewal?.()
      await Promise.allSettled([...receiving, ...advancing.values()])
    },
  }
  return publishing
}

/** Throws `version-exists` when the vendor has released this version of the model. */
export async function mustBeNew(
  { db }: Pick<Parts, 'db'>,
  { vendor, model, version }: Pick<NewUpload, 'vendor' | 'model' | 'version'>,
): Promise<void> {
  const before = await db
    .selectFrom('releases')
    .select('state')
    .where('vendor', '=', vendor)
    .where('model', '=', model)
    .where('version', '=', version)
    .executeTakeFirst()
  if (before === undefined) return
  throw new ProblemError('version-exists', `${model} ${version} is ${before.state} already`, {
    fix: 'Choose another version; one that was given is never given twice.',
  })
}
