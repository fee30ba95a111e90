import * as dagCbor from '@ipld/dag-cbor'
import type { AbortOptions } from '../base/index.ts'
import { type GetBlock, openNode, readFile, type TreeRef } from '../chunks/index.ts'
import { openDestination } from './destination.ts'
import { type Entry, entryFromValue } from './entry.ts'
import { type NodeRef, notOurs, refFromValue, walkIndex } from './index-tree.ts'
import { BUNDLE_MAX_BYTES, BUNDLED_FILE_MAX_BYTES, RESTORE_FILES_IN_FLIGHT } from './limits.ts'

export interface Restored {
  readonly files: number
  readonly bytes: number
  readonly kept: number
}

/**
 * Writes a snapshot below `destination`. Links come last, so that nothing is ever written through one; modes
 * and times of folders come after their content. What is there already with the same size and time is kept.
 */
export async function restoreInto(
  destination: string,
  index: NodeRef,
  get: GetBlock,
  options: AbortOptions & { readonly onProgress?: (done: Restored) => void },
): Promise<Restored> {
  const place = await openDestination(destination)
  const folders: Entry[] = []
  const links: Entry[] = []
  const done = { files: 0, bytes: 0, kept: 0 }
  const filled = (file: Entry, kept: boolean) => {
    done.files++
    done.bytes += file.size
    if (kept) done.kept++
    options.onProgress?.({ ...done })
  }
  for await (const page of walkIndex(index, get, options)) {
    options.signal?.throwIfAborted()
    const { entries, bundle } = await readPage(page, get, options)
    const missing: Entry[] = []
    for (const entry of entries) {
      if (entry.kind === 'folder') {
        await place.folder(entry)
        folders.push(entry)
      } else if (entry.kind === 'link') links.push(entry)
      else if (await place.has(entry)) filled(entry, true)
      else missing.push(entry)
    }
    const small = await readBundle(missing, bundle, get, options)
    await eachOf(missing, RESTORE_FILES_IN_FLIGHT, async (file) => {
      await place.file(file, contentOf(file, small, get, options), options.signal)
      filled(file, false)
    })
  }
  for (const link of links) await place.link(link)
  for (const folder of folders.reverse()) await place.finish(folder)
  return done
}

async function readPage(
  page: NodeRef,
  get: GetBlock,
  options: AbortOptions,
): Promise<{ entries: Entry[]; bundle: TreeRef | undefined }> {
  const value: unknown = dagCbor.decode(openNode(await get(page.cid, options), page.key).payload)
  if (typeof value !== 'object' || value === null) throw notOurs()
  if (!('entries' in value) || !('bundle' in value) || !Array.isArray(value.entries))
    throw notOurs()
  return {
    entries: value.entries.map(entryFromValue),
    bundle: value.bundle === null ? undefined : refFromValue(value.bundle),
  }
}

/** The small files of a page, in memory: at most one bundle. */
async function readBundle(
  wanted: readonly Entry[],
  bundle: TreeRef | undefined,
  get: GetBlock,
  options: AbortOptions,
): Promise<Uint8Array> {
  if (!wanted.some((file) => file.content?.at === 'bundle')) return new Uint8Array(0)
  if (bundle === undefined) throw notOurs()
  const parts: Uint8Array[] = []
  // The last file may begin just below the limit.
  const maxPlainBytes = BUNDLE_MAX_BYTES + BUNDLED_FILE_MAX_BYTES
  for await (const part of readFile(bundle, get, { ...options, maxPlainBytes })) parts.push(part)
  return Buffer.concat(parts)
}

async function* contentOf(
  file: Entry,
  small: Uint8Array,
  get: GetBlock,
  options: AbortOptions,
): AsyncGenerator<Uint8Array> {
  if (file.content === undefined) return
  if (file.content.at === 'tree') {
    yield* readFile(file.content.tree, get, { ...options, maxPlainBytes: file.size })
    return
  }
  const { offset } = file.content
  if (offset + file.size > small.byteLength) throw notOurs()
  yield small.subarray(offset, offset + file.size)
}

/** The first failure ends all, and nothing is still being written when it is told. */
async function eachOf<T>(
  items: readonly T[],
  atOnce: number,
  run: (item: T) => Promise<void>,
): Promise<void> {
  const waiting = items.values()
  let failed = false
  const workers = Array.from({ length: Math.min(atOnce, items.length) }, async () => {
    for (const item of waiting) {
      if (failed) return
      try {
        await run(item)
      } catch (thrown) {
        failed = true
        throw thrown
      }
    }
  })
  await Promise.allSettled(workers)
  await Promise.all(workers)
}
