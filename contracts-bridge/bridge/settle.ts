import type { AbortOptions, Clock, Hex, Log } from '@ioex/node/base'
import type { EvmAddress } from '@ioex/node/identity'
import { grantSigner, type Price } from '@ioex/node/receipts'
import type { Books, EpochState, GrantBook, VendorBook } from './books.ts'
import { type Chain, claimCall, postCall, type PostedEpoch, type VendorOnChain } from './chain.ts'
import { CLAIMS_PER_TRANSACTION, READS_AT_ONCE } from './limits.ts'
import { propose, tallyVendor, type VendorTally } from './proposal.ts'
import type { JournalRecord, SettledRecord } from './records.ts'
import type { TransactionSender } from './transactions.ts'
import type { EpochSigner, PutOffReason, RewardLeaf, SettlementTransaction } from './types.ts'

export interface SettleNeeds {
  readonly chain: Chain
  readonly sender: TransactionSender
  readonly signer: EpochSigner
  readonly clock: Clock
  readonly log: Log
  readonly books: Books
  /** Durable when it resolves, and applied to the books. */
  readonly record: (record: JournalRecord) => Promise<void>
}

export interface SettleOptions {
  readonly confirmations: number
}

/** Where a vendor's epochs stand after one look at the chain. `undefined` puts nothing off. */
export interface Progress {
  readonly putOff: PutOffReason | undefined
  readonly account: VendorOnChain
  readonly tally: VendorTally
}

type Signed = Extract<EpochState, { stage: 'signed' }>

const REVERTS: Readonly<Record<string, PutOffReason>> = {
  EmissionCeilingReached: 'emission-ceiling',
  DailyCapReached: 'daily-cap',
  InsufficientEscrow: 'escrow-short',
  TotalFalls: 'total-below-burned',
}
/** How often in a row the chain may have moved under a transaction before the vendor waits for the next round. */
const TRIES = 4
const BPS = 10_000n

/**
 * Brings a vendor's account on the chain to where its receipts are, one step after another, each looked up on the
 * chain before it is done. What was signed is wanted; what the chain has not, is sent. So a crash between any two
 * steps, a transaction that was sent but not noted, and a reorganisation of any depth all end the same way: amounts
 * are cumulative, and a repeat is refused by the contract.
 */
export async function settleVendor(
  needs: SettleNeeds,
  options: SettleOptions,
  vendor: EvmAddress,
  book: VendorBook,
  { signal }: AbortOptions,
): Promise<Progress> {
  const { chain, record } = needs
  let tries = 0
  for (;;) {
    signal?.throwIfAborted()
    const account = await chain.vendor(vendor)
    const inputs = await readInputs(needs, vendor, book)
    const tally = tallyVendor(inputs)
    const put = (putOff: PutOffReason | undefined): Progress => ({ putOff, account, tally })
    const state = book.epoch

    if (state === undefined || (state.stage === 'settled' && isOnChain(state, account))) {
      const servers = new Set([
        ...tally.perServer.keys(),
        ...book.leaves.map((leaf) => leaf.server),
      ])
      const read = await readServers(chain, vendor, [...servers])
      const next = propose(
        {
          ...{ ...inputs, account, vendor, throughCursor: needs.books.cursor },
          rewardBps: await chain.rewardBps(),
          serverOf: (server) => read.get(server) ?? { creditedGas18: 0n, paidIoex: 0n },
        },
        tally,
      )
      if (next === undefined || 'putOff' in next) return put(next?.putOff)
      await record(next.proposal)
    } else if (state.stage === 'settled') {
      needs.log.warn({ vendor, epoch: state.proposal.epoch }, 'the chain has lost a settled epoch')
      await record({ type: 'reorganised', vendor, epoch: state.proposal.epoch })
    } else if (state.stage === 'proposed') {
      const { proposal } = state
      const answer = await needs.signer.sign(
        { ...proposal, totalCumulativeGas18: proposal.total },
        { leaves: proposal.leaves },
        { signal },
      )
      if (!answer.ok) {
        needs.log.warn({ vendor, epoch: proposal.epoch, reason: answer.reason }, 'not signed')
        await record({ type: 'dropped', vendor, epoch: proposal.epoch, reason: answer.reason })
        return put('not-signed')
      }
      await record({ type: 'signed', vendor, epoch: proposal.epoch, signature: answer.value })
    } else {
      const outcome = await bringOnChain(needs, options, state, account, { signal })
      if (outcome === 'done' || outcome === 'progress') continue
      if (outcome !== 'look-again') return put(outcome)
      if (++tries >= TRIES) return put('rate-moved')
    }
  }
}

function isOnChain(state: EpochState, account: VendorOnChain): boolean {
  return account.epoch >= state.proposal.epoch
}

/** Posts the epoch, pays the claims, waits for confirmations: whichever of them is next. */
async function bringOnChain(
  needs: SettleNeeds,
  options: SettleOptions,
  state: Signed,
  account: VendorOnChain,
  { signal }: AbortOptions,
): Promise<PutOffReason | 'progress' | 'done' | 'look-again'> {
  const { chain, record } = needs
  const { proposal } = state
  const { vendor, epoch, leaves } = proposal
  const drop = (reason: string) => record({ type: 'dropped', vendor, epoch, reason })

  if (isOnChain(state, account) && account.root !== proposal.root) {
    // Somebody posted a newer root of this vendor: the next proposal starts from what the chain has.
    await drop('overtaken')
    return 'look-again'
  }
  const first = (await openClaims(chain, vendor, leaves)).slice(0, CLAIMS_PER_TRANSACTION)
  if (!isOnChain(state, account)) {
    const post = { ...proposal, signature: state.signature, leaves, claims: first }
    const sent = await sendTo(needs, postCall(post), { signal })
    if (sent === undefined) return 'progress'
    if (sent === 'RewardBelowLeaves') {
      // A deposit at another price changed what the escrow is backed by: the leaves are computed anew.
      await drop('rate-moved')
      return 'look-again'
    }
    needs.log.warn({ vendor, epoch, revert: sent }, 'the chain puts the epoch off')
    if (sent === 'EpochNotRising' || sent === 'nonce-used') return 'look-again'
    if (sent === 'SignerNotAuthorised') return 'not-signed'
    return REVERTS[sent] ?? 'chain-refused'
  }
  // Without anything left to pay, a claim would cost fees and change nothing.
  const left = (account.burnedIoex * (await chain.rewardBps())) / BPS - account.paidIoex
  if (first.length > 0 && left > 0n) {
    const revert = await sendTo(needs, claimCall(vendor, leaves, first), { signal })
    if (revert === undefined) return 'progress'
    return revert === 'nonce-used' ? 'look-again' : 'chain-refused'
  }
  const posted = await chain.settlementOf(vendor, epoch)
  const head = await chain.blockNumber()
  if (posted === undefined || head - posted.block + 1 < options.confirmations) return 'unconfirmed'
  const settled = await settledRecord(needs, vendor, epoch, posted)
  await record(settled)
  await report(needs, settled, account, { signal })
  return 'done'
}

/** The name of the contract's refusal, or undefined when a block has the transaction. */
async function sendTo(
  { sender, chain }: SettleNeeds,
  data: string,
  options: AbortOptions,
): Promise<string | undefined> {
  const result = await sender.send({ to: chain.deployment.settlement, data }, options)
  return result.ok ? undefined : result.revert
}

/** Leaves above what their servers were paid. A leaf the vendor's burned ioeX cannot cover any more stays out. */
async function openClaims(
  chain: Chain,
  vendor: EvmAddress,
  leaves: readonly RewardLeaf[],
): Promise<RewardLeaf[]> {
  const servers = await readServers(
    chain,
    vendor,
    leaves.map((leaf) => leaf.server),
  )
  return leaves.filter((leaf) => leaf.cumulativeIoex > (servers.get(leaf.server)?.paidIoex ?? 0n))
}

async function settledRecord(
  { chain, clock }: SettleNeeds,
  vendor: EvmAddress,
  epoch: number,
  posted: PostedEpoch,
): Promise<SettledRecord> {
  const transaction = async (hash: Hex, kind: 'epoch' | 'claims') => {
    const receipt = await chain.provider.getTransactionReceipt(hash)
    return {
      ...{ hash, kind, gasUsed: receipt?.gasUsed ?? 0n },
      block: receipt?.blockNumber ?? posted.block,
    } satisfies SettlementTransaction
  }
  const transactions = [await transaction(posted.transaction, 'epoch')]
  for (const hash of posted.claims) transactions.push(await transaction(hash, 'claims'))
  return { type: 'settled', vendor, epoch, settledAtMs: clock.nowMs(), transactions }
}

async function report(
  { signer, log }: SettleNeeds,
  settled: SettledRecord,
  account: VendorOnChain,
  options: AbortOptions,
): Promise<void> {
  const [first] = settled.transactions
  if (signer.report === undefined || first === undefined) return
  try {
    await signer.report(
      {
        ...{ vendor: settled.vendor, epoch: settled.epoch, settledAtMs: settled.settledAtMs },
        ...{ transaction: first.hash, balanceGas18: account.escrowGas18 },
      },
      options,
    )
  } catch (thrown) {
    // The bill shows it late; the money is right.
    log.warn({ error: thrown, vendor: settled.vendor }, 'could not report a settled epoch')
  }
}

/** What the tally needs of the chain: each signer and each price once. */
async function readInputs({ chain }: SettleNeeds, vendor: EvmAddress, book: VendorBook) {
  const authorities = new Map<EvmAddress, { validFrom: number; validUntil: number }>()
  const prices = new Map<string, Price | undefined>()
  const signers = new Map<GrantBook, EvmAddress | undefined>()
  const domain = {
    chainId: chain.deployment.chainId,
    verifyingContract: chain.deployment.settlement,
  }
  for (const grantBook of book.grants.values()) {
    const { grant, signature } = grantBook
    const key = `${grant.service}/${grant.priceVersion}`
    if (!prices.has(key)) prices.set(key, await chain.price(grant.service, grant.priceVersion))
    if (grantBook.shares.length > 0) continue
    const signer = grantSigner(domain, { message: grant, signature })
    signers.set(grantBook, signer)
    if (signer !== undefined && !authorities.has(signer)) {
      authorities.set(signer, await chain.signer(vendor, signer))
    }
  }
  return {
    book,
    priceOf: (service: Hex, version: number) => prices.get(`${service}/${version}`),
    isAuthorised: (grantBook: GrantBook) => {
      const signer = signers.get(grantBook)
      const authority = signer === undefined ? undefined : authorities.get(signer)
      const { notBefore, notAfter } = grantBook.grant
      // As the contract has it: the grant's validity and the signer's authority overlap.
      return (
        authority !== undefined &&
        notAfter >= authority.validFrom &&
        notBefore < authority.validUntil
      )
    },
  }
}

async function readServers(chain: Chain, vendor: EvmAddress, servers: readonly EvmAddress[]) {
  const found = new Map<EvmAddress, Awaited<ReturnType<Chain['server']>>>()
  for (let at = 0; at < servers.length; at += READS_AT_ONCE) {
    const some = servers.slice(at, at + READS_AT_ONCE)
    const read = await Promise.all(some.map((server) => chain.server(vendor, server)))
    some.forEach((server, index) => {
      const one = read[index]
      if (one !== undefined) found.set(server, one)
    })
  }
  return found
}
