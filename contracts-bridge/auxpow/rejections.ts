/**
 * Why a proof of merged mining is refused: a closed list, and the custom error by which the contract says the
 * same (`contracts/mining/AuxPow.sol`). A proof that breaks several rules is refused by the first, in the order
 * of namecoin-core `auxpow.cpp`.
 */
export const AUXPOW_ERRORS = {
  malformed: 'Malformed',
  'coinbase-index': 'CoinbaseIndexNotZero',
  'own-chain-id': 'ParentHasOwnChainId',
  'chain-branch-long': 'ChainBranchTooLong',
  'coinbase-not-in-parent': 'CoinbaseNotInParent',
  'no-inputs': 'CoinbaseHasNoInputs',
  'root-missing': 'ChainRootMissing',
  'magic-twice': 'MagicTwice',
  'magic-not-adjacent': 'MagicNotBeforeRoot',
  'root-late': 'ChainRootTooLate',
  'size-nonce-missing': 'SizeAndNonceMissing',
  'size-mismatch': 'TreeSizeMismatch',
  'wrong-slot': 'WrongSlot',
  'pow-above-target': 'WorkBelowTarget',
} as const

/** `malformed` is what does not have the shape of a proof; the other thirteen are rules that it breaks. */
export type AuxPowRejection = keyof typeof AUXPOW_ERRORS
