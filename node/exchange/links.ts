import { decode } from '@ipld/dag-cbor'
import { CID } from 'multiformats/cid'
import { asError, IoexError } from '../base/index.ts'
import { keyOf } from './protocol.ts'
import type { ExchangeErrorCode } from './types.ts'

const RAW = 0x55
const DAG_CBOR = 0x71

export function isLeaf(cid: CID): boolean {
  return cid.code === RAW
}

/** Every link of a block, in the order in which they stand there. Throws `cid-unsupported`. */
export function linksOf(cid: CID, bytes: Uint8Array): readonly CID[] {
  if (isLeaf(cid)) return []
  if (cid.code !== DAG_CBOR) throw unsupported(cid, `its codec is 0x${cid.code.toString(16)}`)
  let value: unknown
  try {
    value = decode(bytes)
  } catch (thrown) {
    throw unsupported(cid, `it is not dag-cbor: ${asError(thrown).message}`)
  }
  const links: CID[] = []
  const rest: unknown[] = [value]
  while (rest.length > 0) {
    const next = rest.pop()
    if (typeof next !== 'object' || next === null || next instanceof Uint8Array) continue
    const link = CID.asCID(next)
    if (link === null) {
      const values: unknown[] = Object.values(next)
      for (let at = values.length - 1; at >= 0; at--) rest.push(values[at])
    } else if (keyOf(link) === undefined) {
      throw unsupported(cid, `it links to ${link.toString()}`)
    } else links.push(link)
  }
  return links
}

function unsupported(cid: CID, why: string): IoexError<ExchangeErrorCode> {
  return new IoexError('cid-unsupported', `${cid.toString()} cannot be walked: ${why}`, {
    blame: 'peer',
    fix: 'Trees that are kept here are of raw and dag-cbor blocks with sha2-256.',
  })
}
