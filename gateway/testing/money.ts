import { fromHex, utf8 } from '@ioex/node/base'
import { keccak256, recoverSigner } from '@ioex/node/identity'
import { digest, type LedgerDomain } from '@ioex/node/receipts'

export { grantId, pricedAmount, signReceipt } from '@ioex/node/receipts'

/** EIP-712 by the letter, written apart from the code it checks: who signed this epoch root. */
export function recoverEpochSigner(
  ledger: LedgerDomain,
  signed: {
    readonly vendor: string
    readonly epoch: number
    readonly totalCumulativeGas18: bigint
    readonly root: string
    readonly signature: `0x${string}`
  },
): string | undefined {
  const type = 'EpochRoot(address vendor,uint64 epoch,uint256 totalCumulativeGas18,bytes32 root)'
  const word = (digits: string) => digits.padStart(64, '0')
  const encoded =
    keccak256(utf8(type)).toHex() +
    word(signed.vendor.slice(2)) +
    word(signed.epoch.toString(16)) +
    word(signed.totalCumulativeGas18.toString(16)) +
    signed.root.slice(2)
  const structHash = keccak256(Uint8Array.fromHex(encoded))
  return recoverSigner(digest(ledger, structHash), fromHex(signed.signature) ?? new Uint8Array())
}
