import { createHash } from 'node:crypto'
import { base58 } from '@scure/base'
import { concat, equalBytes } from '../base/index.ts'
import { peerIdOfPublicKey } from './evm-address.ts'
import { type ContactAddress, identityError } from './types.ts'

const PUBLIC_KEY_BYTES = 33
export const NOSPAM_BYTES = 4
/** With four bytes a slip of the pen passes once in 4 billion; with two, once in 65,536. */
const CHECKSUM_BYTES = 4
const ADDRESS_BYTES = PUBLIC_KEY_BYTES + NOSPAM_BYTES + CHECKSUM_BYTES
/** 41 bytes that begin with 2 or 3 are 55 letters; base58 takes quadratic time, so longer is not decoded. */
const MAX_LETTERS = 55

function checksum(body: Uint8Array): Uint8Array {
  return createHash('sha256').update('ioex/address/1').update(body).digest().subarray(0, 4)
}

export function encodeContactAddress(
  address: Pick<ContactAddress, 'publicKey' | 'nospam'>,
): string {
  peerIdOfPublicKey(address.publicKey)
  checkNospam(address.nospam)
  const body = concat([address.publicKey, address.nospam])
  return base58.encode(concat([body, checksum(body)]))
}

export function checkNospam(nospam: Uint8Array): void {
  if (nospam.byteLength === NOSPAM_BYTES) return
  throw identityError('key-invalid', `a nospam has 4 bytes, not ${nospam.byteLength}`, {
    blame: 'caller',
  })
}

/** Spaces around the text do not matter. Throws address-invalid. */
export function decodeContactAddress(text: string): ContactAddress {
  const trimmed = text.trim()
  if (trimmed.length > MAX_LETTERS || !/^[1-9A-HJ-NP-Za-km-z]+$/.test(trimmed)) {
    throw invalid('this is no contact address: it is too long or has letters that none has')
  }
  const bytes = base58.decode(trimmed)
  const body = bytes.subarray(0, PUBLIC_KEY_BYTES + NOSPAM_BYTES)
  if (bytes.byteLength !== ADDRESS_BYTES) {
    throw invalid('this is no contact address: it is too short or too long')
  }
  if (!equalBytes(bytes.subarray(body.byteLength), checksum(body))) {
    throw invalid('the checksum of this contact address does not match')
  }
  const publicKey = body.slice(0, PUBLIC_KEY_BYTES)
  try {
    return { peerId: peerIdOfPublicKey(publicKey), publicKey, nospam: body.slice(PUBLIC_KEY_BYTES) }
  } catch (thrown) {
    throw invalid('this contact address holds no public key', thrown)
  }
}

function invalid(message: string, cause?: unknown) {
  return identityError('address-invalid', message, {
    blame: 'caller',
    fix: 'A letter is wrong or missing: copy the whole address again.',
    cause,
  })
}
