import { open } from 'node:fs/promises'
import { encode } from '@ipld/dag-cbor'
import { varint } from 'multiformats'
import { type Content, eachBlock } from './content.ts'

/** The blocks of the content as a CARv1 file: the way in which Kubo takes blocks that it has not cut itself. */
export async function writeCar(content: Content, path: string): Promise<void> {
  const file = await open(path, 'wx')
  try {
    await file.write(framed(encode({ version: 1, roots: [content.root] })))
    await eachBlock(content, async ({ cid, bytes }) => {
      await file.write(framed(Buffer.concat([cid.bytes, bytes])))
    })
  } finally {
    await file.close()
  }
}

function framed(body: Uint8Array): Uint8Array {
  const length = new Uint8Array(varint.encodingLength(body.byteLength))
  varint.encodeTo(body.byteLength, length)
  return Buffer.concat([length, body])
}
