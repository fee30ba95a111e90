import { CID } from 'multiformats/cid'
import * as Digest from 'multiformats/hashes/digest'
import type { Parts } from '../context.ts'
import { notFound } from '../guards/bearer.ts'
import { DAG_CBOR_CODEC } from '../store/cids.ts'
import { createAppPart } from './app-part.ts'

const SHA2_256 = 0x12
/** Named by version or digest, so they never change. */
const IMMUTABLE = 'public, max-age=29030400, immutable'
/** The file that says what is new: short, so that a proxy does not hide a release. */
const FRESH = 'public, max-age=5'

/**
 * The TUF repository of each vendor, for any TUF client: `metadata/` as the specification names the files,
 * `targets/` with the digest before the base name (consistent snapshots). A target is a release root block.
 */
export function tufRoutes({ db, node }: Parts) {
  return createAppPart()
    .get('/tuf/:vendor/metadata/:name', async (c) => {
      const { vendor, name } = c.req.param()
      const file = await db
        .selectFrom('tuf_files')
        .select('bytes')
        .where('vendor', '=', vendor.toLowerCase())
        .where('name', '=', name)
        .executeTakeFirst()
      if (file === undefined) throw notFound(`TUF file ${name.slice(0, 100)}`)
      return new Response(new Uint8Array(file.bytes), {
        headers: {
          'content-type': 'application/json',
          'cache-control': /^\d+\./.test(name) ? IMMUTABLE : FRESH,
        },
      })
    })
    .get('/tuf/:vendor/targets/:path{.+}', async (c) => {
      const { vendor, path } = c.req.param()
      const digest = /(?:^|\/)([0-9a-f]{64})\.[^/]+$/.exec(path)?.[1]
      if (digest === undefined) throw notFound(`target ${path.slice(0, 100)}`)
      const cid = CID.createV1(DAG_CBOR_CODEC, Digest.create(SHA2_256, Uint8Array.fromHex(digest)))
      const release = await db
        .selectFrom('releases')
        .select('id')
        .where('id', '=', cid.toString())
        .where('vendor', '=', vendor.toLowerCase())
        .executeTakeFirst()
      const block = release === undefined ? undefined : await node.storage.blocks.get(cid)
      if (block === undefined) throw notFound(`target ${path.slice(0, 100)}`)
      return new Response(new Uint8Array(block), {
        headers: { 'content-type': 'application/octet-stream', 'cache-control': IMMUTABLE },
      })
    })
}
