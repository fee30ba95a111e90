import { createHash } from 'node:crypto'
import * as dagCbor from '@ipld/dag-cbor'
import { z } from 'zod'
import { concat, equalBytes, utf8 } from '../base/index.ts'
import { evmAddressOfPublicKey, type Identity, recoverMessageSigner } from '../identity/index.ts'
import { networkError } from './errors.ts'
import { MAX_RECORD_BYTES } from './limits.ts'

const PURPOSE = 'drive-record'
/** The DHT's name space: keys are `/ioex-drive/` and 32 raw bytes. */
export const RECORD_NAMESPACE = 'ioex-drive'
const KEY_PREFIX = utf8(`/${RECORD_NAMESPACE}/`)
/** Payload, public key, signature and the words around them. */
const MAX_ENVELOPE_BYTES = MAX_RECORD_BYTES + 256

/** What the DHT holds. `signature` is over dag-cbor of the other members in this order of meaning: key, sequence, value. */
const envelopeForm = z.strictObject({
  v: z.literal(1),
  publicKey: z.instanceof(Uint8Array).refine((bytes) => bytes.byteLength === 33),
  sequence: z.int().nonnegative(),
  value: z.instanceof(Uint8Array).refine((bytes) => bytes.byteLength <= MAX_RECORD_BYTES),
  signature: z.instanceof(Uint8Array).refine((bytes) => bytes.byteLength === 65),
})

export interface DriveRecord {
  readonly sequence: number
  readonly value: Uint8Array
}

/** Under which key the owner of this public key keeps a record: sha-256 over a prefix and the key, 32 bytes. */
export function driveRecordKey(publicKey: Uint8Array): Uint8Array {
  return new Uint8Array(
    createHash('sha256').update('ioex/drive-record/1').update(publicKey).digest(),
  )
}

/** The key as the DHT has it. */
export function dhtKeyOf(key: Uint8Array): Uint8Array {
  return concat([KEY_PREFIX, key])
}

/** Throws `record-invalid` when the value is too large. */
export function sealRecord(
  owner: Pick<Identity, 'publicKey' | 'signMessage'>,
  record: DriveRecord,
): Uint8Array {
  if (record.value.byteLength > MAX_RECORD_BYTES) {
    throw networkError(
      'record-invalid',
      `a record of ${record.value.byteLength} bytes; ${MAX_RECORD_BYTES} are allowed`,
      { blame: 'caller', fix: 'Keep the large part elsewhere and point to it.' },
    )
  }
  const signature = owner.signMessage(PURPOSE, signedPart(owner.publicKey, record))
  return dagCbor.encode({
    v: 1,
    publicKey: owner.publicKey,
    sequence: record.sequence,
    value: record.value,
    signature,
  })
}

/** Undefined unless the envelope belongs under this DHT key and its owner signed it. */
export function openRecord(dhtKey: Uint8Array, envelope: Uint8Array): DriveRecord | undefined {
  if (envelope.byteLength > MAX_ENVELOPE_BYTES) return undefined
  const parsed = envelopeForm.safeParse(tryDecode(envelope))
  if (!parsed.success) return undefined
  const { publicKey, sequence, value, signature } = parsed.data
  if (!equalBytes(dhtKey, dhtKeyOf(driveRecordKey(publicKey)))) return undefined
  const signer = recoverMessageSigner(
    PURPOSE,
    signedPart(publicKey, { sequence, value }),
    signature,
  )
  return signer !== undefined && signer === addressOf(publicKey) ? { sequence, value } : undefined
}

/** Which of the DHT's answers counts: the highest sequence. */
export function newestRecord(dhtKey: Uint8Array, envelopes: readonly Uint8Array[]): number {
  const sequences = envelopes.map((envelope) => openRecord(dhtKey, envelope)?.sequence ?? -1)
  return sequences.indexOf(Math.max(...sequences))
}

function signedPart(publicKey: Uint8Array, record: DriveRecord): Uint8Array {
  return dagCbor.encode([publicKey, record.sequence, record.value])
}

function addressOf(publicKey: Uint8Array) {
  try {
    return evmAddressOfPublicKey(publicKey)
  } catch {
    // 33 bytes that are no point of the curve: nobody's key.
    return undefined
  }
}

/** dag-cbor tells of malformed bytes by throwing. */
function tryDecode(bytes: Uint8Array): unknown {
  try {
    return dagCbor.decode(bytes)
  } catch {
    return undefined
  }
}
