import { TypedDataEncoder } from 'ethers'
import { fromHex } from '@ioex/node/base'
import type { LedgerDomain } from '@ioex/node/receipts'
import type { EpochRequest } from './types.ts'

const TYPES = {
  EpochRoot: [
    { name: 'vendor', type: 'address' },
    { name: 'epoch', type: 'uint64' },
    { name: 'totalCumulativeGas18', type: 'uint256' },
    { name: 'root', type: 'bytes32' },
  ],
}

/** The 32 bytes that a voucher signer signs for an epoch (EIP-712). */
export function epochRootDigest(
  domain: LedgerDomain,
  request: Omit<EpochRequest, 'throughCursor'>,
): Uint8Array {
  const { vendor, epoch, totalCumulativeGas18, root } = request
  const value = { vendor, epoch, totalCumulativeGas18, root }
  const digest = TypedDataEncoder.hash({ name: 'ioeX', version: '1', ...domain }, TYPES, value)
  return fromHex(digest) ?? new Uint8Array()
}
