import { decode } from '@ipld/dag-cbor'
import { CarWriter } from '@ipld/car'
import { CID } from 'multiformats/cid'
import { identity } from 'multiformats/hashes/identity'
import type { Parts } from '../context.ts'
import type { AppContext } from '../env.ts'
import { bearerIn, notFound } from '../guards/bearer.ts'
import { CAR_MAX_BLOCKS } from '../limits.ts'
import { ProblemError } from '../problems.ts'
import { DAG_CBOR_CODEC, linksIn, parseCid } from '../store/cids.ts'
import { createAppPart } from './app-part.ts'

const RAW = 'application/vnd.ipld.raw'
const CAR = 'application/vnd.ipld.car'
const CAR_TYPE = `${CAR}; version=1; order=dfs; dups=n`
const IMMUTABLE = 'public, max-age=29030400, immutable'

type Format = 'raw' | 'car'
type Scope = 'block' | 'entity' | 'all'

/**
 * The trustless part of the IPFS gateway specification: raw blocks and CARs of what lies here. Root and node
 * blocks (dag-cbor) go to anybody within a rate; chunks, which are sealed, to the vendor they belong to.
 */
export function ipfsRoutes(parts: Parts) {
  const { db, node, limiters } = parts
  const { blocks, pins } = node.storage

  /** Anybody for metadata; for chunks the vendor, of whose releases one must name the block. */
  const mustBeAllowed = async (c: AppContext, cid: CID, isDeep: boolean) => {
    if (c.get('bearer') === undefined) limiters.blocks.demand(c.get('source'))
    if (cid.code === DAG_CBOR_CODEC && !isDeep) return
    const bearer = bearerIn(c)
    if (bearer.kind === 'operator') return
    if (bearer.kind === 'vendor' && bearer.vendor !== undefined) {
      const releases = await db
        .selectFrom('releases')
        .select('id')
        .where('vendor', '=', bearer.vendor)
        .orderBy('created_ms', 'desc')
        .execute()
      for (const { id } of releases) if (await pins.contains(CID.parse(id), cid)) return
      throw notFound(`block ${cid.toString()}`)
    }
    throw new ProblemError('token-scope-missing', 'chunks need a token of their vendor', {
      fix: 'Devices fetch chunks from the addresses of the release, under a grant.',
    })
  }

  return createAppPart().get('/ipfs/:cid', async (c) => {
    const format = formatOf(c)
    const cid = parseAnyCid(c.req.param('cid'))
    const scope = scopeOf(c.req.query('dag-scope'), format)
    const inline = cid.multihash.code === identity.code ? cid.multihash.digest : undefined
    if (inline === undefined) await mustBeAllowed(c, cid, scope !== 'block')
    const etag = format === 'raw' ? `"${cid.toString()}.raw"` : `W/"${cid.toString()}.car.${scope}"`
    const headers = {
      etag,
      'cache-control': IMMUTABLE,
      'content-type': format === 'raw' ? RAW : CAR_TYPE,
      'content-disposition': `attachment; filename="${cid.toString()}.${format === 'raw' ? 'bin' : 'car'}"`,
      'x-content-type-options': 'nosniff',
      'x-ipfs-path': `/ipfs/${cid.toString()}`,
      'x-ipfs-roots': cid.toString(),
      vary: 'accept',
    }
    if (matches(c.req.header('if-none-match'), etag)) {
      return new Response(null, { status: 304, headers })
    }
    const block = inline ?? (await blocks.get(cid))
    if (block === undefined) throw notFound(`block ${cid.toString()}`)
    if (format === 'raw') {
      return new Response(new Uint8Array(block), {
        headers: { ...headers, 'content-length': String(block.byteLength) },
      })
    }
    const below = scope === 'block' ? [] : linksOf(cid, block)
    return new Response(carOf(cid, block, below, blocks), { headers })
  })
}

/** `?format=` wins over `Accept`, as the specification has it. */
function formatOf(c: AppContext): Format {
  const named = c.req.query('format')
  if (named === 'raw' || named === 'car') return named
  if (named !== undefined) throw notAcceptable(named)
  const accept = c.req.header('accept') ?? ''
  if (accept.includes(RAW)) return 'raw'
  if (accept.includes(CAR)) {
    if (/version=(?!1\b)/.test(accept)) throw notAcceptable(accept)
    return 'car'
  }
  if (accept === '' || accept.includes('*/*')) {
    throw new ProblemError('request-invalid', 'this gateway answers with blocks and CARs only', {
      fix: `Add ?format=raw or ?format=car, or send "Accept: ${RAW}".`,
    })
  }
  throw notAcceptable(accept)
}

function notAcceptable(what: string): ProblemError {
  return new ProblemError('not-acceptable', `"${what.slice(0, 100)}" is not to be had`, {
    fix: `Ask for ${RAW} or ${CAR}.`,
  })
}

function scopeOf(text: string | undefined, format: Format): Scope {
  if (format === 'raw') return 'block'
  const scope = text ?? 'all'
  if (scope === 'block' || scope === 'entity' || scope === 'all') return scope
  throw new ProblemError('request-invalid', `dag-scope "${scope.slice(0, 40)}" is unknown`, {
    fix: 'Use block, entity or all.',
  })
}

function parseAnyCid(text: string): CID {
  try {
    const cid = CID.parse(text)
    // An inline block: its bytes are in the CID, at most so many as fit a URL anyway.
    if (cid.multihash.code === identity.code && text.length <= 400) return cid
  } catch {
    // Says what is wrong in the same words for every place that takes a CID.
    return parseCid(text)
  }
  return parseCid(text)
}

function matches(header: string | undefined, etag: string): boolean {
  if (header === undefined) return false
  const plain = (tag: string) => tag.trim().replace(/^W\//, '')
  return header.trim() === '*' || header.split(',').some((tag) => plain(tag) === plain(etag))
}

/** Every CID in a dag-cbor block, in order; blocks of other kinds have none. */
function linksOf(cid: CID, block: Uint8Array): CID[] {
  return cid.code === DAG_CBOR_CODEC ? [...linksIn(decode(block))] : []
}

/** Depth first, each block once; a block that is missing here ends the stream with an error. */
function carOf(
  root: CID,
  rootBlock: Uint8Array,
  below: readonly CID[],
  blocks: { get(cid: CID): Promise<Uint8Array | undefined> },
): ReadableStream<Uint8Array> {
  const { writer, out } = CarWriter.create([root])
  const write = async () => {
    await writer.put({ cid: root, bytes: rootBlock })
    const seen = new Set([root.toString()])
    const waiting = [...below].reverse()
    for (let cid = waiting.pop(); cid !== undefined; cid = waiting.pop()) {
      if (seen.has(cid.toString())) continue
      if (seen.size >= CAR_MAX_BLOCKS) throw new Error(`over ${CAR_MAX_BLOCKS} blocks`)
      seen.add(cid.toString())
      const bytes = await blocks.get(cid)
      if (bytes === undefined) throw new Error(`${cid.toString()} is missing`)
      await writer.put({ cid, bytes })
      waiting.push(...linksOf(cid, bytes).reverse())
    }
    await writer.close()
  }
  const iterator = out[Symbol.asyncIterator]()
  let failure: unknown
  const writing = write().catch((thrown: unknown) => {
    failure = thrown
    return writer.close()
  })
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      const next: IteratorResult<Uint8Array, unknown> = await iterator.next()
      if (next.done !== true) return controller.enqueue(next.value)
      await writing
      if (failure === undefined) controller.close()
      else controller.error(failure)
    },
    async cancel() {
      await iterator.return?.()
    },
  })
}
