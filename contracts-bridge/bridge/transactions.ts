import { isError, type JsonRpcProvider, keccak256, type TransactionReceipt, Wallet } from 'ethers'
import { type AbortOptions, asError, type Clock, type Hex, type Log } from '@ioex/node/base'
import { revertName } from './chain.ts'
import { CHAIN_POLL_MS, REPLACEMENTS_MAX, STUCK_AFTER_MS } from './limits.ts'
import { bridgeError } from './types.ts'

export interface TransactionSender {
  readonly address: string
  /**
   * Sends, and waits until a block has it. What the chain refuses is a value with the contract's error name. Only
   * one at a time: the nonce is always the first that no block has, so a transaction that was sent before a crash
   * and still waits is replaced, never doubled.
   */
  send(
    call: { readonly to: Hex; readonly data: string },
    options: AbortOptions,
  ): Promise<SendResult>
}

type SendResult =
  | { readonly ok: true; readonly hash: Hex; readonly block: number; readonly gasUsed: bigint }
  | { readonly ok: false; readonly revert: string }

interface Fees {
  readonly maxFeePerGas: bigint
  readonly maxPriorityFeePerGas: bigint
}

/** Room above the estimate: claims that others push meanwhile change what a call costs. */
const GAS_LIMIT_PERCENT = 125n

export function createSender(
  needs: { readonly provider: JsonRpcProvider; readonly clock: Clock; readonly log: Log },
  options: { readonly key: Hex; readonly chainId: number; readonly stuckAfterMs?: number },
): TransactionSender {
  const { provider, clock, log } = needs
  const wallet = new Wallet(options.key)
  const stuckAfterMs = options.stuckAfterMs ?? STUCK_AFTER_MS

  /** The receipt of any of the hashes, or undefined when time is up. */
  const included = async (hashes: readonly Hex[], signal: AbortSignal | undefined) => {
    const giveUpAt = clock.monotonicMs() + stuckAfterMs
    for (;;) {
      for (const hash of hashes) {
        const receipt = await provider.getTransactionReceipt(hash)
        if (receipt !== null) return receipt
      }
      if (clock.monotonicMs() >= giveUpAt) return undefined
      await clock.sleep(CHAIN_POLL_MS, { signal })
    }
  }

  const firstFees = async (): Promise<Fees> => {
    const data = await provider.getFeeData()
    return {
      maxFeePerGas: data.maxFeePerGas ?? data.gasPrice ?? 0n,
      maxPriorityFeePerGas: data.maxPriorityFeePerGas ?? 0n,
    }
  }

  return {
    address: wallet.address,
    async send({ to, data }, { signal }) {
      let gasLimit: bigint
      try {
        const estimate = await provider.estimateGas({ from: wallet.address, to, data })
        gasLimit = (estimate * GAS_LIMIT_PERCENT) / 100n
      } catch (thrown) {
        const revert = revertName(thrown)
        if (revert === undefined) throw thrown
        return { ok: false, revert }
      }
      const nonce = await provider.getTransactionCount(wallet.address, 'latest')
      const { chainId } = options
      let fees = await firstFees()
      const hashes: Hex[] = []
      for (let attempt = 0; attempt <= REPLACEMENTS_MAX; attempt++) {
        signal?.throwIfAborted()
        const raw = await wallet.signTransaction({
          ...{ type: 2, to, data, gasLimit, nonce, chainId },
          ...fees,
        })
        const sent = await broadcast(provider, raw)
        if (sent.ok) hashes.push(sent.hash)
        else if (sent.reason === 'nonce-used' && hashes.length === 0) {
          // A transaction of before a crash got in meanwhile; the caller looks at the chain again.
          return { ok: false, revert: 'nonce-used' }
        }
        const wait = sent.ok || sent.reason === 'nonce-used'
        const receipt = wait ? await included(hashes, signal) : undefined
        if (receipt !== undefined) return resultOf(receipt)
        log.warn({ nonce, attempt, fee: String(fees.maxFeePerGas) }, 'raising the fee')
        fees = raised(fees)
      }
      throw bridgeError('chain-refused', `no block took a transaction (nonce ${nonce})`, {
        blame: 'peer',
        fix: 'Check the fees on this chain and the balance of the bridge.',
      })
    },
  }
}

function raised(fees: Fees): Fees {
  const up = (fee: bigint) => fee + fee / 8n + 1n
  return {
    maxFeePerGas: up(fees.maxFeePerGas),
    maxPriorityFeePerGas: up(fees.maxPriorityFeePerGas),
  }
}

function resultOf(receipt: TransactionReceipt): SendResult {
  if (receipt.status === 0) return { ok: false, revert: 'reverted-in-block' }
  return {
    ok: true,
    hash: receipt.hash as Hex,
    block: receipt.blockNumber,
    gasUsed: receipt.gasUsed,
  }
}

type Broadcast =
  | { readonly ok: true; readonly hash: Hex }
  | { readonly ok: false; readonly reason: 'nonce-used' | 'fee-too-low' }

async function broadcast(provider: JsonRpcProvider, raw: string): Promise<Broadcast> {
  try {
    const sent = await provider.broadcastTransaction(raw)
    return { ok: true, hash: sent.hash as Hex }
  } catch (thrown) {
    if (isError(thrown, 'NONCE_EXPIRED')) return { ok: false, reason: 'nonce-used' }
    if (isError(thrown, 'REPLACEMENT_UNDERPRICED')) return { ok: false, reason: 'fee-too-low' }
    const { message } = asError(thrown)
    if (/nonce too low/i.test(message)) return { ok: false, reason: 'nonce-used' }
    if (/already (known|imported)/i.test(message)) {
      return { ok: true, hash: keccak256(raw) as Hex }
    }
    if (/underpriced/i.test(message)) return { ok: false, reason: 'fee-too-low' }
    throw thrown
  }
}
