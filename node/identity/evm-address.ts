import { publicKeyFromRaw } from '@libp2p/crypto/keys'
import type { PeerId } from '@libp2p/interface'
import { peerIdFromPublicKey } from '@libp2p/peer-id'
import { utf8 } from '../base/index.ts'
import { curve } from './curve.ts'
import { keccak256 } from './keccak.ts'
import { type EvmAddress, identityError } from './types.ts'

/** The last 20 bytes of keccak256(x || y): the address rule of the Ethereum yellow paper, section 4.2. */
export function addressOfUncompressed(publicKey: Uint8Array): EvmAddress {
  return `0x${keccak256(publicKey.subarray(1)).subarray(12).toHex()}`
}

function invalidPublicKey() {
  return identityError('key-invalid', 'these bytes are no secp256k1 public key', {
    blame: 'caller',
    fix: 'Pass the 33 bytes of a compressed key or the 65 bytes of an uncompressed one.',
  })
}

/** `publicKey`: 33 or 65 bytes. Throws key-invalid when it is no point of the curve. */
export function evmAddressOfPublicKey(publicKey: Uint8Array): EvmAddress {
  const uncompressed = isPointLength(publicKey) ? curve.uncompressed(publicKey) : undefined
  if (uncompressed === undefined) throw invalidPublicKey()
  return addressOfUncompressed(uncompressed)
}

function isPointLength(publicKey: Uint8Array): boolean {
  return publicKey.byteLength === 33 || publicKey.byteLength === 65
}

/** Undefined for a PeerId of another kind (Ed25519, RSA): such a peer has no address here. */
export function evmAddressOfPeerId(peerId: PeerId): EvmAddress | undefined {
  if (peerId.type !== 'secp256k1') return undefined
  return evmAddressOfPublicKey(peerId.publicKey.raw)
}

/** `publicKey`: 33 bytes. Throws key-invalid when it is no point of the curve. */
export function peerIdOfPublicKey(publicKey: Uint8Array): PeerId {
  if (publicKey.byteLength !== 33 || curve.uncompressed(publicKey) === undefined) {
    throw invalidPublicKey()
  }
  return peerIdFromPublicKey(publicKeyFromRaw(publicKey))
}

/**
 * An address that a person typed or a file holds, as lower case. Text in mixed case must carry the right
 * EIP-55 checksum. Throws address-invalid.
 */
export function parseEvmAddress(text: string): EvmAddress {
  const trimmed = text.length <= 64 ? text.trim() : ''
  if (!/^0x[0-9a-fA-F]{40}$/.test(trimmed)) {
    throw identityError('address-invalid', 'this is no chain address', {
      blame: 'caller',
      fix: 'Give 0x and 40 hexadecimal digits.',
    })
  }
  const digits = trimmed.slice(2)
  const lower = digits.toLowerCase()
  if (digits !== lower && digits !== digits.toUpperCase() && digits !== withChecksum(lower)) {
    throw identityError('address-invalid', 'the capitals of this address do not match its digits', {
      blame: 'caller',
      fix: 'A digit is wrong or missing: copy the address again (EIP-55).',
    })
  }
  return `0x${lower}`
}

/** EIP-55: a letter is a capital when the same digit of the hash is 8 or more. */
function withChecksum(lower: string): string {
  const hash = keccak256(utf8(lower)).toHex()
  return [...lower]
    .map((digit, at) => (Number.parseInt(hash[at] ?? '0', 16) >= 8 ? digit.toUpperCase() : digit))
    .join('')
}
