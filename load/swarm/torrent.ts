import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { basename } from 'node:path'

/** As most torrents of this size have; aria2 asks peers for 16 KiB of it at a time. */
const PIECE_BYTES = 256 * 1024

export interface Torrent {
  readonly bytes: Uint8Array
  /** SHA-1 of the part that names the content, hex: what a tracker calls it. */
  readonly infoHash: string
}

type Bencoded = number | string | Uint8Array | { readonly [key: string]: Bencoded }

/** A torrent (BEP 3) of one file. */
export async function makeTorrent(file: string, trackerUrl: string): Promise<Torrent> {
  const content = await readFile(file)
  const pieces: Uint8Array[] = []
  for (let at = 0; at < content.byteLength; at += PIECE_BYTES) {
    pieces.push(sha1(content.subarray(at, at + PIECE_BYTES)))
  }
  const info = {
    length: content.byteLength,
    name: basename(file),
    'piece length': PIECE_BYTES,
    pieces: Buffer.concat(pieces),
  }
  return {
    bytes: bencode({ announce: trackerUrl, info }),
    infoHash: sha1(bencode(info)).toString('hex'),
  }
}

function sha1(bytes: Uint8Array): Buffer {
  return createHash('sha1').update(bytes).digest()
}

function bencode(value: Bencoded): Buffer {
  if (typeof value === 'number') return Buffer.from(`i${value}e`)
  if (typeof value === 'string') return bencode(Buffer.from(value))
  if (value instanceof Uint8Array) {
    return Buffer.concat([Buffer.from(`${value.byteLength}:`), value])
  }
  const keys = Object.keys(value).toSorted()
  const parts = keys.flatMap((key) => [bencode(key), bencode(value[key] ?? '')])
  return Buffer.concat([Buffer.from('d'), ...parts, Buffer.from('e')])
}
