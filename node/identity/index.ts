/**
 * Who a node is. One 32-byte seed gives three keys that cannot be derived from one another:
 *
 * - a secp256k1 key: its public key is the PeerId, the ioeX ID and the EVM address in one;
 * - an X25519 key: the age recipient to which release keys are wrapped;
 * - the drive secret: what a person's backups are sealed and chunked with.
 *
 * A person writes the seed down as 24 words (BIP-39). What a person passes on to friends is an *address*:
 * ID + 4-byte nospam + checksum; a new nospam makes old copies of the address useless to strangers.
 * Signing is native (libsecp256k1); every signature names its purpose through EIP-712 or a purpose string.
 *
 * Errors are IoexError with an IdentityErrorCode. Signature checks do not throw on bad input: nobody signed it.
 */
export { agree, ephemeralKey } from './agreement.ts'
export {
  decodeContactAddress,
  encodeContactAddress,
  NOSPAM_BYTES,
} from './contact-address.ts'
export { createIdentity, generateSeed, SEED_BYTES } from './create-identity.ts'
export { type CurveBackend, curveBackend } from './curve.ts'
export {
  evmAddressOfPeerId,
  evmAddressOfPublicKey,
  parseEvmAddress,
  peerIdOfPublicKey,
} from './evm-address.ts'
export { keccak256 } from './keccak.ts'
export {
  type CreateKeystoreOptions,
  changeNospam,
  createKeystore,
  type Keystore,
  type KeystoreKey,
  openKeystore,
} from './keystore.ts'
export { phraseToSeed, seedToPhrase } from './phrase.ts'
export { recoverMessageSigner, recoverSigner, SIGNATURE_BYTES } from './signatures.ts'
export type { ContactAddress, EvmAddress, Identity, IdentityErrorCode } from './types.ts'
