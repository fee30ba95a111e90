import { fromHex, type Hex, toHex, utf8 } from '@ioex/node/base'
import { type EvmAddress, type Identity, keccak256 } from '@ioex/node/identity'
import { digest, type LedgerDomain } from '@ioex/node/receipts'

/** EpochRoot(address vendor,uint64 epoch,uint256 totalCumulativeGas18,bytes32 root), as in Vouchers.sol. */
export interface EpochRoot {
  readonly vendor: EvmAddress
  readonly epoch: number
  readonly totalCumulativeGas18: bigint
  readonly root: Hex
}

const TYPE_HASH = keccak256(
  utf8('EpochRoot(address vendor,uint64 epoch,uint256 totalCumulativeGas18,bytes32 root)'),
)

/** EIP-712 signature by the voucher signer, 65 bytes. */
export function signEpochRoot(
  signer: Pick<Identity, 'signDigest'>,
  ledger: LedgerDomain,
  epochRoot: EpochRoot,
): Hex {
  const words = Buffer.alloc(5 * 32)
  words.set(TYPE_HASH)
  words.set(fromHex(epochRoot.vendor) ?? new Uint8Array(), 32 + 12)
  words.writeBigUInt64BE(BigInt(epochRoot.epoch), 64 + 24)
  words.set(Uint8Array.fromHex(epochRoot.totalCumulativeGas18.toString(16).padStart(64, '0')), 96)
  words.set(fromHex(epochRoot.root) ?? new Uint8Array(), 128)
  return toHex(signer.signDigest(digest(ledger, keccak256(words))))
}
