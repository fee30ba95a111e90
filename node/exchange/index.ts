/**
 * Moving blocks. A *session* fetches the blocks of one release or drive from many peers at once: it keeps a
 * window of requests at each, measures them, asks the fast ones more, asks a second one when a block is late,
 * drops a peer at its first bad block, and goes on from what is on disk after a crash. What is served is
 * metered: under a grant the receipts of the device open the next window, friends are served for nothing.
 *
 * One protocol, `/ioex/exchange/1.0.0`: a stream per (root, session), opened with the root and the grant;
 * want lists go up, blocks and "not here" come down, receipts go up. Only blocks of that root are served, to
 * those who were let in for it. Besides there is `/ioex/pin/1.0.0`: asking a peer to keep a root; it fetches
 * the blocks from the asker by itself. Helia gets a block broker, and bitswap is kept for interop with friends.
 */
export { createExchange, type ExchangeNeeds } from './create-exchange.ts'
export { createHeliaNode } from './create-helia-node.ts'
export { createReceiptHandIn, type ReceiptHandIn } from './receipt-hand-in.ts'
export { createSeedDuties, type SeedDuties, type SeedDutiesNeeds } from './seed-duties.ts'
export type {
  Exchange,
  ExchangeErrorCode,
  ExchangeOptions,
  FetchOptions,
  FetchReport,
  FetchSession,
  HeliaNeeds,
  HeliaNode,
  PinProgress,
  PinRefusal,
  PinRequest,
  Source,
  SourceReport,
  Wire,
} from './types.ts'
