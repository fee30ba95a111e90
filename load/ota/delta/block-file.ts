/** Blocks one after the other in a file, and where each begins: a store for what is measured without one. */
import { createHash } from 'node:crypto'
import { open, readFile, writeFile } from 'node:fs/promises'
import type { GetBlock, PutBlock } from '@ioex/node/chunks'
import type { CID } from 'multiformats/cid'

export interface BlockFileWriter {
  readonly put: PutBlock
  /** Writes the index; nothing is put after that. */
  close(): Promise<void>
}

export async function createBlockFile(path: string): Promise<BlockFileWriter> {
  const file = await open(path, 'wx')
  const places: [string, number, number][] = []
  let end = 0
  return {
    async put({ cid, bytes }) {
      const offset = end
      end += bytes.byteLength
      places.push([cid.toString(), offset, bytes.byteLength])
      await file.write(bytes, 0, bytes.byteLength, offset)
    },
    async close() {
      await file.close()
      await writeFile(indexOf(path), JSON.stringify(places))
    },
  }
}

export interface BlockFile {
  /** Checked against the CID, as a block that comes from a peer is. */
  readonly get: GetBlock
  has(cid: CID): boolean
  close(): Promise<void>
}

export async function openBlockFile(path: string): Promise<BlockFile> {
  const places = new Map(
    (JSON.parse(await readFile(indexOf(path), 'utf8')) as [string, number, number][]).map(
      ([cid, offset, length]) => [cid, { offset, length }],
    ),
  )
  const file = await open(path, 'r')
  return {
    has: (cid) => places.has(cid.toString()),
    async get(cid) {
      const place = places.get(cid.toString())
      if (place === undefined) throw new Error(`${cid.toString()} was not published`)
      const { bytesRead, buffer } = await file.read(
        Buffer.allocUnsafeSlow(place.length),
        0,
        place.length,
        place.offset,
      )
      const digest = createHash('sha256').update(buffer).digest()
      if (bytesRead !== place.length || !digest.equals(cid.multihash.digest)) {
        throw new Error(`${cid.toString()} is damaged in ${path}`)
      }
      return buffer
    },
    close: () => file.close(),
  }
}

function indexOf(path: string): string {
  return `${path}.json`
}
