import { readRange } from '@ioex/node/chunks'
import type { DdiModule } from '@ioex/node/ddi'
import { openRelease } from '@ioex/node/firmware'
import { CID } from 'multiformats/cid'
import type { Parts } from '../context.ts'
import { OPENED_RELEASES_MAX } from '../limits.ts'
import type { ReleaseRow } from '../store/tables.ts'

type TreeRef = ReturnType<typeof openRelease>['treeRef']

/**
 * A release as a file that stock clients load. Nothing plain lies on the disk: the sealed blocks are opened as
 * they are asked for, with the key that the vendor has left here.
 */
export interface PlainArtifacts {
  /** Undefined for releases of own-keys vendors. */
  module(release: ReleaseRow): Promise<DdiModule | undefined>
}

export function createPlainArtifacts({
  db,
  keys,
  node,
}: Pick<Parts, 'db' | 'keys' | 'node'>): PlainArtifacts {
  const { blocks } = node.storage
  /** An installer that streams asks thousands of times; the least recent goes first. */
  const opened = new Map<string, TreeRef>()

  const open = async ({ id, vendor }: ReleaseRow, get: (cid: CID) => Promise<Uint8Array>) => {
    const known = opened.get(id)
    if (known !== undefined) {
      opened.delete(id)
      opened.set(id, known)
      return known
    }
    const releaseKey = await keys.get(vendor, `release-key/${id}`)
    if (releaseKey === undefined) throw new Error(`release ${id} has no key here`)
    const { treeRef } = openRelease(await get(CID.parse(id)), releaseKey)
    opened.set(id, treeRef)
    const [oldest] = opened.keys()
    if (opened.size > OPENED_RELEASES_MAX && oldest !== undefined) opened.delete(oldest)
    return treeRef
  }

  return {
    async module(release) {
      const { image_bytes: bytes, image_sha256: sha256 } = release
      const row = await db
        .selectFrom('artifacts')
        .selectAll()
        .where('release', '=', release.id)
        .executeTakeFirst()
      if (row === undefined || bytes === null || sha256 === null) return undefined
      const get = async (cid: CID) => {
        const block = await blocks.get(cid)
        if (block !== undefined) return block
        throw new Error(`block ${cid.toString()} of release ${release.id} is missing`)
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
            yield* readRange(await open(release, get), get, range, options)
          },
        },
      }
    },
  }
}
