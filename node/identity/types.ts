import type { PeerId, PrivateKey } from '@libp2p/interface'
import { type ErrorDetails, IoexError } from '../base/index.ts'

/** Lower-case, 20 bytes. The same secp256k1 key as the PeerId, so each can be derived from the public key. */
export type EvmAddress = `0x${string}`

export interface Identity {
  readonly peerId: PeerId
  /** For libp2p only. */
  readonly privateKey: PrivateKey
  /** Compressed secp256k1 public key, 33 bytes. */
  readonly publicKey: Uint8Array
  readonly evmAddress: EvmAddress
  /** `age1…` */
  readonly ageRecipient: string
  /** `AGE-SECRET-KEY-1…`; never leaves the machine. */
  readonly ageIdentity: string
  /** 32 bytes; never leaves the machine. */
  readonly driveSecret: Uint8Array
  /** Signs a 32-byte digest (EIP-712). Returns r || s || v, 65 bytes, v 27 or 28, s in the lower half (EIP-2). */
  signDigest(digest: Uint8Array): Uint8Array
  /** Signs keccak256("ioeX " || purpose || 0x00 || message); verify with `recoverMessageSigner`. */
  signMessage(purpose: string, message: Uint8Array): Uint8Array
}

/** What a person gives to others so that they can ask for friendship. Text form: base58btc, 55 letters. */
export interface ContactAddress {
  readonly peerId: PeerId
  readonly publicKey: Uint8Array
  /** 4 bytes. */
  readonly nospam: Uint8Array
}

export type IdentityErrorCode =
  | 'keystore-missing'
  | 'keystore-exists'
  | 'keystore-damaged'
  /** A keystore without a passphrase that others on this machine can read. */
  | 'keystore-exposed'
  | 'passphrase-wrong'
  | 'phrase-invalid'
  | 'address-invalid'
  /** A seed, key, digest or purpose of the wrong shape: a fault of the calling code. */
  | 'key-invalid'

export function identityError(
  code: IdentityErrorCode,
  message: string,
  details: ErrorDetails,
): IoexError<IdentityErrorCode> {
  return new IoexError(code, message, details)
}
