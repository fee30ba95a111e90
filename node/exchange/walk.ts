import type { CID } from 'multiformats/cid'
import { type AbortOptions, asError, type HeldBytes, IoexError } from '../base/index.ts'
import { createBell } from './bell.ts'
import { isLeaf, linksOf } from './links.ts'
import { MAX_REMEMBERED_LEAVES, MAX_TREE_DEPTH, MAX_TREE_NODES, WALK_WIDTH } from './limits.ts'
import { type Key, keyOf } from './protocol.ts'
import type { ExchangeErrorCode, PinProgress } from './types.ts'

export interface WalkOptions extends AbortOptions {
  readonly root: CID
  readonly get: (cid: CID, options: AbortOptions) => Promise<HeldBytes>
  /** More bytes of distinct blocks than this are not fetched. */
  readonly maxBytes?: number | undefined
  readonly onBlock?: ((progress: PinProgress) => void) | undefined
}

interface Level {
  readonly links: readonly CID[]
  readonly depth: number
  next: number
}

/**
 * Gets every block below a root, WALK_WIDTH at once. Down before across, so that what waits is bounded by
 * depth times links of a node, not by the size of the tree; each inner node is walked once, so that a tree
 * that names one node a billion times is no work.
 */
export async function walkTree(options: WalkOptions): Promise<PinProgress> {
  const { root, get, onBlock, maxBytes = Number.POSITIVE_INFINITY } = options
  const levels: Level[] = [{ links: [root], depth: 0, next: 0 }]
  const nodes = new Set<Key>()
  const leaves = new Set<Key>()
  const inFlight = new Set<Promise<void>>()
  const changed = createBell()
  let failure: unknown
  const failed = new AbortController()
  const signal =
    options.signal === undefined ? failed.signal : AbortSignal.any([options.signal, failed.signal])
  let blocks = 0
  let bytes = 0

  const nextLink = (): { cid: CID; depth: number } | undefined => {
    for (let level = levels.at(-1); level !== undefined; level = levels.at(-1)) {
      const cid = level.links[level.next++]
      if (cid !== undefined) return { cid, depth: level.depth }
      levels.pop()
    }
    return undefined
  }
  const visit = async (cid: CID, depth: number) => {
    const block = await get(cid, { signal })
    blocks++
    bytes += block.bytes.byteLength
    if (bytes > maxBytes) throw tooLarge(`has more than the ${maxBytes} bytes that were announced`)
    const links = linksOf(cid, block.bytes)
    // What was decoded from a node may be views of it: nodes are left to the collector.
    if (isLeaf(cid)) block.release()
    if (links.length > 0) {
      if (depth >= MAX_TREE_DEPTH) throw tooLarge(`is deeper than ${MAX_TREE_DEPTH}`)
      levels.push({ links, depth: depth + 1, next: 0 })
    }
    onBlock?.({ blocks, bytes })
  }
  /** False for what was visited before; of leaves only the last MAX_REMEMBERED_LEAVES are known. */
  const isNew = (cid: CID): boolean => {
    const key = keyOf(cid) ?? ''
    const seen = isLeaf(cid) ? leaves : nodes
    if (seen.has(key)) return false
    seen.add(key)
    if (nodes.size > MAX_TREE_NODES) throw tooLarge(`has more than ${MAX_TREE_NODES} nodes`)
    const [oldest] = leaves
    if (leaves.size > MAX_REMEMBERED_LEAVES && oldest !== undefined) leaves.delete(oldest)
    return true
  }
  const begin = (cid: CID, depth: number) => {
    const visiting = visit(cid, depth)
      .catch((thrown: unknown) => {
        failure ??= thrown
        failed.abort(thrown)
      })
      .finally(() => {
        inFlight.delete(visiting)
        changed.ring()
      })
    inFlight.add(visiting)
  }
  while (failure === undefined) {
    while (inFlight.size < WALK_WIDTH) {
      const link = nextLink()
      if (link === undefined) break
      if (isNew(link.cid)) begin(link.cid, link.depth)
    }
    if (inFlight.size === 0) break
    await changed.next()
  }
  await Promise.all(inFlight)
  if (failure !== undefined) throw asError(failure)
  return { blocks, bytes }
}

function tooLarge(what: string): IoexError<ExchangeErrorCode> {
  return new IoexError('tree-too-large', `the tree below the root ${what}`, {
    blame: 'peer',
    fix: 'Ask with the right size, or split the tree.',
  })
}
