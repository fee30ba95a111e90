import { z } from 'zod'

/** What the journal holds. Amounts are decimal text; grants and receipts are the JSON of node/receipts. */
const hex = z.templateLiteral(['0x', z.string()])
const amount = z.string().transform((text) => BigInt(text))

const LeafSchema = z.object({ server: hex, cumulativeIoex: amount, cumulativeGas18: amount })
/** What a grant's servers have been billed for, once the epoch is signed. */
const SharesSchema = z.object({
  grantId: hex,
  shares: z.array(z.object({ server: hex, bytes: amount, amountGas18: amount })),
})

export const RecordSchema = z.discriminatedUnion('type', [
  /** A receipt that proves itself; the grant comes with the first receipt of it. */
  z.object({
    type: z.literal('receipt'),
    cursor: z.int(),
    grant: z.unknown().optional(),
    receipt: z.unknown(),
  }),
  z.object({
    type: z.literal('refused'),
    cursor: z.int(),
    grantId: hex.optional(),
    server: hex.optional(),
    reason: z.string(),
  }),
  /** The intent: written before anybody is asked to sign it. */
  z.object({
    type: z.literal('proposed'),
    vendor: hex,
    epoch: z.int(),
    total: amount,
    root: hex,
    throughCursor: z.int(),
    leaves: z.array(LeafSchema),
    shares: z.array(SharesSchema),
  }),
  z.object({ type: z.literal('signed'), vendor: hex, epoch: z.int(), signature: hex }),
  /** The epoch will never be on the chain. */
  z.object({ type: z.literal('dropped'), vendor: hex, epoch: z.int(), reason: z.string() }),
  /** A settled epoch is not on the chain any more, and is wanted there again. */
  z.object({ type: z.literal('reorganised'), vendor: hex, epoch: z.int() }),
  z.object({
    type: z.literal('settled'),
    vendor: hex,
    epoch: z.int(),
    settledAtMs: z.int(),
    transactions: z.array(
      z.object({
        hash: hex,
        kind: z.enum(['epoch', 'claims']),
        gasUsed: amount,
        block: z.int(),
      }),
    ),
  }),
])
export type JournalRecord = z.output<typeof RecordSchema>
export type ProposedRecord = Extract<JournalRecord, { type: 'proposed' }>
export type SettledRecord = Extract<JournalRecord, { type: 'settled' }>

/** The record as it is written: bigint as decimal text. */
export function toJournal(record: JournalRecord): unknown {
  return JSON.parse(
    JSON.stringify(record, (_name, value: unknown) =>
      typeof value === 'bigint' ? String(value) : value,
    ),
  )
}
