import type { CID } from 'multiformats/cid'
import { type Clock, type Log, unixSeconds } from '../base/index.ts'
import {
  decodeSignedPinOrder,
  encodeSignedPinOrder,
  hashPinOrder,
  type LedgerDomain,
  pinOrderSigner,
  type ServerBook,
  type SignedPinOrder,
} from '../receipts/index.ts'
import type { PinOwner, Records } from '../storage/index.ts'
import { KEPT_AFTER_ORDER_MS } from './limits.ts'
import { keyOf } from './protocol.ts'

/** Orders that were accepted: what says whose grants for a root are honoured, again after each start. */
export interface PinOrders {
  /** Undefined when the order does not hold for this root now. */
  check(order: Uint8Array, root: CID): Promise<SignedPinOrder | undefined>
  accept(order: SignedPinOrder, root: CID): void
  ownerOf(order: SignedPinOrder): PinOwner
  /** Says the accepted orders to the book, and forgets those that are long over. */
  start(): void
}

const TABLE = 'exchange-orders'

export function createPinOrders(needs: {
  readonly records: Pick<Records, 'put' | 'delete' | 'list'>
  readonly serverBook: Pick<ServerBook, 'trust'>
  readonly ledger: LedgerDomain
  readonly verifyOrder: ((order: SignedPinOrder) => Promise<boolean>) | undefined
  readonly clock: Clock
  readonly log: Log
}): PinOrders {
  const { records, serverBook, clock } = needs
  const trust = ({ message }: SignedPinOrder, key: string) => {
    serverBook.trust(`0x${key}`, message.signers, message.until)
  }
  return {
    async check(bytes, root) {
      const decoded = decodeSignedPinOrder(bytes)
      if (!decoded.ok) return undefined
      const order = decoded.value
      const { message } = order
      const nowS = unixSeconds(clock)
      const signer = pinOrderSigner(needs.ledger, order)
      const isSigned =
        signer !== undefined && (signer === message.payer || message.signers.includes(signer))
      const isForRoot = message.roots.includes(`0x${keyOf(root) ?? ''}`)
      if (!isSigned || !isForRoot || message.until <= nowS) return undefined
      const isWelcome = await (needs.verifyOrder?.(order) ?? true)
      return isWelcome ? order : undefined
    },
    accept(order, root) {
      const key = keyOf(root) ?? ''
      const name = `${hashPinOrder(order.message)} ${key}`
      records.put(TABLE, name, encodeSignedPinOrder(order))
      trust(order, key)
    },
    ownerOf: ({ message }) => ({
      owner: `order:${hashPinOrder(message)}`,
      untilMs: message.until * 1_000 + KEPT_AFTER_ORDER_MS,
    }),
    start() {
      const nowMs = clock.nowMs()
      const over: string[] = []
      for (const { key: name, value } of records.list(TABLE)) {
        const decoded = decodeSignedPinOrder(value)
        const key = name.split(' ')[1]
        if (!decoded.ok || key === undefined) {
          needs.log.error({ order: name }, 'a pin order on disk cannot be read')
          continue
        }
        const { until } = decoded.value.message
        if (until * 1_000 + KEPT_AFTER_ORDER_MS < nowMs) over.push(name)
        else trust(decoded.value, key)
      }
      for (const name of over) records.delete(TABLE, name)
    },
  }
}
