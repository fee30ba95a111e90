import { readRange } from '@ioex/node/chunks'
import type { DdiModule } from '@ioex/node/ddi'
import { openRelease } from '@ioex/node/firmware'
import { CID } from 'multiformats/cid'
import type { Parts } from '../context.ts'
import type { ReleaseRow } from '../store/tables.ts'

/**
 * A release as a file that stock clients load. Nothing plain lies on the disk: the sealed blocks are opened as
 * they are asked for, with the key that the vendor has left here. Undefined for releases of own-keys vendors,
 * and for those that were withdrawn.
 */
export async function plainArtifact(
  { db, keys, node }: Pick<Parts, 'db' | 'keys' | 'node'>,
  release: ReleaseRow,
): Promise<DdiModule | undefined> {
  const { image_bytes: bytes, image_sha256: sha256 } = release
  const row = await db
    .selectFrom('artifacts')
    .selectAll()
    .where('release', '=', release.id)
    .executeTakeFirst()
  if (row === undefined || bytes === null || sha256 === null) return undefined
  const { blocks } = node.storage
  const get = async (cid: CID) => {
    const block = await blocks.get(cid)
    if (block !== undefined) return block
    throw new Error(`block ${cid.toString()} of release ${release.id} is missing`)
  }
  const open = async () => {
    const releaseKey = await keys.get(release.vendor, `release-key/${release.id}`)
    if (releaseKey === undefined) throw new Error(`release ${release.id} has no key here`)
    return openRelease(await get(CID.parse(release.id)), releaseKey).treeRef
  }
  return {
    id: Number(row.id),
    name: release.model,
    version: release.version,
    artifact: {
      filename: row.filename,
      bytes,
      sha1: row.sha1,
      md5: row.md5,
      sha256: sha256.slice(2),
      storedMs: release.created_ms,
      read: async function* (range, options = {}) {
        yield* readRange(await open(), get, range, options)
      },
    },
  }
}
