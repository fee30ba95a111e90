import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { ReceiptFeedSchema } from '@ioex/node/api'
import { IoexError } from '@ioex/node/base'
import type { LocalNetwork } from './network.ts'
import { requestJson } from './request.ts'

type Feed = (typeof ReceiptFeedSchema)['_output']

/** The bridge's status as its page gives it: amounts as decimal text. */
interface BridgeStatus {
  readonly gasBilled18: string
  readonly burnedIoex: string
  readonly ioexPaid: string
  readonly transactions: readonly {
    readonly hash: string
    readonly kind: string
    readonly gasUsed: string
  }[]
  readonly epochs: number
  readonly unpaid: readonly { readonly grantId?: string; readonly reason: string }[]
  readonly receiptBytes: string
}

/** The highest receipt of one grant at one server, and what bounds it: enough to work out the bill again. */
export interface ReceiptFact {
  readonly grantId: string
  readonly server: string
  readonly serverBytes: number
  readonly maxBytes: number
}

export interface Settlement {
  readonly chainId: number
  readonly priceGas18: string
  readonly unitBytes: string
  readonly gasBilled: string
  readonly burnedIoex: string
  readonly ioexPaid: string
  readonly elapsedSeconds: number
  readonly transactions: BridgeStatus['transactions']
}

/** Receipts are handed in every 2 s and pulled every half second; a minute without news is a fault. */
const RECEIPTS_WITHIN_MS = 60_000
const SETTLED_WITHIN_MS = 60_000
const LOOK_EVERY_MS = 250
const FEED_LIMIT = 500

/** Waits until receipts for so many bytes have reached the bridge, and has it settle them on the chain. */
export async function settle(
  folder: string,
  network: LocalNetwork,
  expectedBytes: number,
): Promise<{ readonly settlement: Settlement; readonly receipts: readonly ReceiptFact[] }> {
  const beganMs = performance.now()
  await until(RECEIPTS_WITHIN_MS, 'the receipts to reach the bridge', async () => {
    const { receiptBytes } = await requestJson<BridgeStatus>(`${network.bridgeUrl}/status`)
    return Number(receiptBytes) >= expectedBytes
  })
  const status = await until(SETTLED_WITHIN_MS, 'the settlement', async () => {
    const now = await requestJson<BridgeStatus>(`${network.bridgeUrl}/epoch`, { method: 'POST' })
    return now.epochs > 0 && now.unpaid.length === 0 ? now : undefined
  })
  const [price] = network.deployment.prices
  if (price === undefined) throw new Error('the deployment has no price')
  return {
    settlement: {
      chainId: network.deployment.chainId,
      priceGas18: price.priceGas18,
      unitBytes: price.unitBytes,
      gasBilled: status.gasBilled18,
      burnedIoex: status.burnedIoex,
      ioexPaid: status.ioexPaid,
      elapsedSeconds: (performance.now() - beganMs) / 1000,
      transactions: status.transactions,
    },
    receipts: await readReceipts(folder, network),
  }
}

/** The highest receipt of each grant and server, from the gateway's own feed. */
async function readReceipts(folder: string, network: LocalNetwork): Promise<ReceiptFact[]> {
  const token = (await readFile(join(folder, 'gateway', 'bridge.token'), 'utf8')).trim()
  const highest = new Map<string, ReceiptFact>()
  for (let after = 0; ; ) {
    const url = `${network.gatewayUrl}/v1/receipts?after=${after}&limit=${FEED_LIMIT}`
    const { items, next } = await requestJson<Feed>(url, { token })
    for (const { grant, receipt } of items) {
      const { grantId, server, serverBytes } = receipt.message
      highest.set(`${grantId}/${server}`, {
        grantId,
        server,
        serverBytes: Number(serverBytes),
        maxBytes: Number(grant.message.maxBytes),
      })
    }
    if (items.length === 0 || next === after) return [...highest.values()]
    after = next
  }
}

async function until<T>(
  withinMs: number,
  what: string,
  look: () => Promise<T | undefined | false>,
): Promise<T> {
  const endMs = performance.now() + withinMs
  for (;;) {
    const found = await look()
    if (found !== undefined && found !== false) return found
    if (performance.now() > endMs) {
      throw new IoexError('demo-stalled', `waited ${withinMs / 1000} s for ${what}`, {
        blame: 'local',
        fix: 'run with --keep and read the logs',
      })
    }
    await new Promise((resume) => setTimeout(resume, LOOK_EVERY_MS))
  }
}
