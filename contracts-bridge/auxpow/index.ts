/**
 * Merged mining: whoever mines Bitcoin commits in a coinbase to the block of another chain, and the Bitcoin
 * header proves the work for both. This room checks such a proof (AuxPoW) by the rules of namecoin-core, for
 * chains with headers of 80 bytes (Namecoin, Dogecoin) and of 84 (Elastos, ioeX). Pure functions over bytes;
 * nothing is copied. A refusal is a code of `AUXPOW_ERRORS`, by which the contract names its errors.
 *
 * Key what was accepted on the block's hash, never on the proof: 32 bytes of a proof may be anything.
 */
export { type AuxPowTerms, type AuxPowVerdict, expectedSlot, verifyAuxPow } from './verify.ts'
export {
  IOEX_CHAIN_ID,
  type MinedHeader,
  type MinedHeaderRejection,
  verifyMinedHeader,
  workHashOf,
} from './mined-header.ts'
export { AUXPOW_ERRORS, type AuxPowRejection } from './rejections.ts'
export { sha256d, targetOf, type WorkHash } from './work.ts'
