import type { CID } from 'multiformats/cid'
import type { AbortOptions } from '../base/index.ts'
import { codeOf } from '../base/index.ts'
import { PROFILE_64K, type PutBlock, type SealedNode, sealFile, sealNode } from '../chunks/index.ts'
import * as dagCbor from '@ipld/dag-cbor'
import { type Content, type Entry, entryToValue } from './entry.ts'
import type { Omission } from './types.ts'
import type { DriveKeys } from './keys.ts'
import { ZSTD_LEVEL } from './limits.ts'
import { isBundled } from './paging.ts'
import { ChangedWhileReading, type Found, readFound } from './scan.ts'

export interface SealedPage {
  readonly node: SealedNode
  readonly files: number
  readonly bytes: number
  /** False when something was left out: then the page must be looked at again next time. */
  readonly complete: boolean
}

interface SealNeeds {
  readonly folder: string
  readonly keys: DriveKeys
  readonly put: PutBlock
  readonly omit: (omission: Omission) => void
  readonly onBytes: (bytes: number) => void
}

/** Reads the files of one page and seals them: small ones together as the page's bundle, each large one alone. */
export async function sealPage(
  found: readonly Found[],
  needs: SealNeeds,
  options: AbortOptions,
): Promise<SealedPage> {
  const entries: Entry[] = []
  const links: CID[] = []
  const bundle: Uint8Array[] = []
  let bundleBytes = 0
  let complete = true
  for (const one of found) {
    let content: Content | undefined
    try {
      if (isBundled(one)) {
        const parts = await Array.fromAsync(readFound(needs.folder, one, options.signal))
        content = { at: 'bundle', offset: bundleBytes }
        bundle.push(...parts)
        bundleBytes += one.size
      } else if (one.kind === 'file' && one.size > 0) {
        const sealed = await sealFile(
          readFound(needs.folder, one, options.signal),
          needs.put,
          sealOptions(needs.keys, options),
        )
        links.push(sealed.tree.cid)
        content = { at: 'tree', tree: sealed.tree }
      }
    } catch (thrown) {
      const reason = whyLeftOut(thrown)
      if (reason === undefined) throw thrown
      needs.omit({ path: one.path, reason })
      complete = false
      continue
    }
    needs.onBytes(one.size)
    entries.push({
      path: one.path,
      kind: one.kind,
      mode: one.mode,
      mtimeNs: one.mtimeNs,
      size: one.size,
      ...(one.target === undefined ? {} : { target: one.target }),
      ...(content === undefined ? {} : { content }),
    })
  }
  const tree =
    bundleBytes === 0
      ? undefined
      : (await sealFile(inTurn(bundle), needs.put, sealOptions(needs.keys, options))).tree
  if (tree !== undefined) links.push(tree.cid)
  const node = await sealNode(
    {
      links,
      payload: dagCbor.encode({
        entries: entries.map(entryToValue),
        bundle: tree === undefined ? null : [tree.cid, tree.key],
      }),
    },
    needs.keys.content,
  )
  await needs.put(node)
  const files = entries.filter((entry) => entry.kind === 'file')
  return {
    node,
    complete,
    files: files.length,
    bytes: files.reduce((sum, file) => sum + file.size, 0),
  }
}

async function* inTurn(parts: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* parts
}

function sealOptions(keys: DriveKeys, options: AbortOptions) {
  return {
    profile: PROFILE_64K,
    secret: keys.content,
    boundarySecret: keys.boundary,
    zstdLevel: ZSTD_LEVEL,
    ...(options.signal === undefined ? {} : { signal: options.signal }),
  }
}

const WHY: ReadonlyMap<string | undefined, Omission['reason']> = new Map([
  ['ENOENT', 'changed-while-reading'],
  ['ELOOP', 'changed-while-reading'],
  ['ENOTDIR', 'changed-while-reading'],
  ['ENXIO', 'changed-while-reading'],
  ['ESTALE', 'changed-while-reading'],
  ['EACCES', 'unreadable'],
  ['EPERM', 'unreadable'],
  ['EIO', 'unreadable'],
])

/** A file that cannot be read is left out and told; anything else ends the push. */
function whyLeftOut(thrown: unknown): Omission['reason'] | undefined {
  return thrown instanceof ChangedWhileReading ? 'changed-while-reading' : WHY.get(codeOf(thrown))
}
