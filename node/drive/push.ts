import * as dagCbor from '@ipld/dag-cbor'
import { CID } from 'multiformats/cid'
import { create as createDigest } from 'multiformats/hashes/digest'
import { hash } from 'node:crypto'
import { basename, resolve } from 'node:path'
import { type AbortOptions, type Clock, utf8 } from '../base/index.ts'
import type { PutBlock } from '../chunks/index.ts'
import type { Pin, PinSession, Storage } from '../storage/index.ts'
import type { Omission, PushOptions } from './types.ts'
import { type NodeRef, refFromValue, sealIndex } from './index-tree.ts'
import type { DriveKeys } from './keys.ts'
import {
  ADOPT_NODES_AT_ONCE,
  LABEL_MAX_BYTES,
  MAX_KNOWN_PAGES,
  OMITTED_MAX_LISTED,
  SETTLED_AFTER_MS,
} from './limits.ts'
import { inPages, stampOf } from './paging.ts'
import { scan } from './scan.ts'
import { sealPage } from './seal-page.ts'
import { type CatalogEntry, sealSnapshotRoot } from './snapshot.ts'

/** Pages of earlier pushes by the stamp of their entries: untouched files are not read again. */
const PAGES = 'drive-pages'
const DAG_CBOR = 0x71
const RAW = 0x55

export interface SnapshotNeeds {
  readonly storage: Pick<Storage, 'blocks' | 'pins' | 'records'>
  readonly keys: DriveKeys
  /** Sessions of pushes that failed in this process; the next push of that folder goes on with its own. */
  readonly unfinished: Map<string, PinSession>
}

export interface TakenSnapshot {
  readonly entry: CatalogEntry
  readonly pin: Pin
  readonly newBytes: number
  readonly omitted: readonly Omission[]
  readonly omittedCount: number
}

/** Makes a snapshot of a folder and pins it here. Interrupted, it goes on with the blocks that it has. */
export async function takeSnapshot(
  folder: string,
  needs: SnapshotNeeds,
  options: PushOptions,
  clock: Clock,
): Promise<TakenSnapshot> {
  const name = sessionName(folder)
  const session = needs.unfinished.get(name.toString()) ?? (await needs.storage.pins.open(name))
  needs.unfinished.set(name.toString(), session)
  const omitted: Omission[] = []
  let omittedCount = 0
  const omit = (omission: Omission) => {
    omittedCount++
    if (omitted.length < OMITTED_MAX_LISTED) omitted.push(omission)
  }
  const totals = { files: 0, bytes: 0, newBytes: 0 }
  const put: PutBlock = async (block) => {
    if (!(await needs.storage.blocks.has(block.cid))) totals.newBytes += block.bytes.byteLength
    await session.add([block])
  }
  const report = () =>
    options.onProgress?.({
      phase: 'reading',
      files: totals.files,
      bytes: totals.bytes,
      storedBytes: 0,
      sealedBytes: 0,
    })

  async function* pages(): AsyncGenerator<NodeRef> {
    const seen = new Set<string>()
    const found = scan(folder, omit, options.signal)
    const startedMs = clock.nowMs()
    for await (const page of inPages(found)) {
      const stamp = stampOf(page)
      seen.add(stamp)
      const known = await knownPage(stamp, session, needs)
      if (known !== undefined) {
        totals.files += known.files
        totals.bytes += known.bytes
        report()
        yield known.ref
        continue
      }
      const sealed = await sealPage(
        page,
        {
          folder,
          keys: needs.keys,
          put,
          omit,
          onBytes: (bytes) => {
            totals.bytes += bytes
            report()
          },
        },
        signalOf(options),
      )
      totals.files += sealed.files
      const ref = { cid: sealed.node.cid, key: sealed.node.key }
      if (sealed.complete && page.every((one) => one.changedMs < startedMs - SETTLED_AFTER_MS))
        rememberPage(stamp, { ref, files: sealed.files, bytes: sealed.bytes }, needs)
      yield ref
    }
    forgetOldPages(seen, needs)
  }

  const index = await sealIndex(pages(), put, needs.keys.content)
  const createdAt = new Date(clock.nowMs()).toISOString()
  const label = cut(options.label ?? basename(resolve(folder)))
  const root = await sealSnapshotRoot({ createdAt, label }, index, needs.keys.content)
  await put(root)
  const pin = await session.commit({ owner: 'drive' }, root.cid)
  needs.unfinished.delete(name.toString())
  const { files, bytes, newBytes } = totals
  return {
    entry: {
      id: root.cid.toString(),
      root: root.cid,
      key: root.key,
      createdAt,
      label,
      files,
      bytes,
      sealedBytes: pin.bytes,
    },
    pin,
    newBytes,
    omitted,
    omittedCount,
  }
}

/** Whole characters only. */
function cut(label: string): string {
  let kept = ''
  for (const letter of label.toWellFormed()) {
    if (Buffer.byteLength(kept + letter) > LABEL_MAX_BYTES) break
    kept += letter
  }
  return kept
}

/** A session needs a name before the root is known: one per folder, so that a broken push is gone on with. */
function sessionName(folder: string): CID {
  const digest = hash('sha256', utf8(`ioex/drive/push/${resolve(folder)}`), 'buffer')
  return CID.createV1(RAW, createDigest(0x12, new Uint8Array(digest)))
}

/** Pages that this folder no longer has go once there are too many to keep for nothing. */
function forgetOldPages(seen: ReadonlySet<string>, needs: SnapshotNeeds): void {
  const stamps = Array.from(needs.storage.records.list(PAGES), ({ key }) => key)
  if (stamps.length <= MAX_KNOWN_PAGES) return
  needs.storage.records.transaction(() => {
    for (const stamp of stamps) if (!seen.has(stamp)) needs.storage.records.delete(PAGES, stamp)
  })
}

interface KnownPage {
  readonly ref: NodeRef
  readonly files: number
  readonly bytes: number
}

function rememberPage(stamp: string, page: KnownPage, needs: SnapshotNeeds): void {
  const { ref, files, bytes } = page
  needs.storage.records.put(PAGES, stamp, dagCbor.encode([ref.cid, ref.key, files, bytes]))
}

/** A page that was sealed before and whose blocks are all still here; they are counted to the session. */
async function knownPage(
  stamp: string,
  session: PinSession,
  needs: SnapshotNeeds,
): Promise<KnownPage | undefined> {
  const record = needs.storage.records.get(PAGES, stamp)
  if (record === undefined) return undefined
  const value: unknown = dagCbor.decode(record)
  if (!Array.isArray(value)) return undefined
  const [, , files, bytes] = value as unknown[]
  if (typeof files !== 'number' || typeof bytes !== 'number') return undefined
  const ref = refFromValue(value)
  if (await adoptBelow(ref.cid, session, needs)) return { ref, files, bytes }
  needs.storage.records.delete(PAGES, stamp)
  return undefined
}

/** Leaves of a node together, as each adoption waits for the disk; nodes a few at a time, as each has leaves. */
async function adoptBelow(cid: CID, session: PinSession, needs: SnapshotNeeds): Promise<boolean> {
  if (!(await session.adopt(cid))) return false
  if (cid.code !== DAG_CBOR) return true
  const bytes = await needs.storage.blocks.get(cid)
  if (bytes === undefined) return false
  const links = linksOf(bytes)
  const leaves = links.filter((link) => link.code !== DAG_CBOR)
  const adopted = await Promise.all(leaves.map((leaf) => session.adopt(leaf)))
  if (!adopted.every(Boolean)) return false
  const nodes = links.filter((link) => link.code === DAG_CBOR)
  for (let from = 0; from < nodes.length; from += ADOPT_NODES_AT_ONCE) {
    const some = nodes.slice(from, from + ADOPT_NODES_AT_ONCE)
    const whole = await Promise.all(some.map((node) => adoptBelow(node, session, needs)))
    if (!whole.every(Boolean)) return false
  }
  return true
}

function linksOf(bytes: Uint8Array): CID[] {
  const value: unknown = dagCbor.decode(bytes)
  if (typeof value !== 'object' || value === null || !('links' in value)) return []
  return Array.isArray(value.links)
    ? value.links.flatMap((link: unknown) => CID.asCID(link) ?? [])
    : []
}

function signalOf(options: AbortOptions): AbortOptions {
  return options.signal === undefined ? {} : { signal: options.signal }
}
