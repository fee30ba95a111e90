/**
 * The bridge makes claims on the chain out of receipts. It pulls receipts from the gateway, checks each again,
 * and writes it down before it goes on. Each epoch it adds up, per vendor, what all receipts come to by the rule
 * of node/receipts, splits the reward among the servers, has the vendor's voucher signer sign the root, posts it
 * and pushes the claims, so that servers get their ioeX without doing anything.
 *
 * It is trusted with nothing but liveness: it holds no vendor's key and no coins but its fees; what it proposes
 * is signed by others and bounded by the contract. Everything it signs up for is cumulative and written ahead, so
 * that it may be killed at any moment and the chain may reorganise at any depth: it looks at what the chain has,
 * and sends what is missing. A server that it leaves out can claim on chain by itself.
 */
export { type Bridge, type BridgeNeeds, type BridgeOptions, createBridge } from './create-bridge.ts'
export { epochRootDigest } from './epoch-root.ts'
export { createGateway, type GatewayNeeds, type GatewayOptions } from './gateway.ts'
export { type RewardTree, rewardTree } from './merkle.ts'
export type { BridgeStatus, Reachability, VendorStatus } from './status.ts'
export type {
  BridgeErrorCode,
  EpochEvidence,
  EpochRequest,
  EpochSigner,
  FeedItem,
  PutOffReason,
  ReceiptSource,
  RewardLeaf,
  SettledReport,
  SettlementTransaction,
  Unpaid,
  UnpaidReason,
} from './types.ts'
export { fundVendor, type FundVendorOptions, type FundedVendor } from './vendor-account.ts'
