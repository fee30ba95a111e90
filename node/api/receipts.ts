import { z } from 'zod'
import { RECEIPT_BATCH_MAX_ITEMS } from './limits.ts'
import {
  AmountSchema,
  DigestSchema,
  EvmAddressSchema,
  SignatureSchema,
  TimeSchema,
} from './scalars.ts'
import { SignedGrantSchema, SignedReceiptSchema } from './signed.ts'

/** Receipts prove themselves, so a batch needs no token; sending one again changes nothing. */
export const ReceiptBatchSchema = z
  .object({
    items: z
      .array(z.object({ grant: SignedGrantSchema, receipt: SignedReceiptSchema }))
      .min(1)
      .max(RECEIPT_BATCH_MAX_ITEMS),
  })
  .meta({ id: 'ReceiptBatch' })

export const ReceiptBatchResultSchema = z
  .object({
    stored: z.int().meta({ description: 'new or higher than what was here' }),
    known: z.int().meta({ description: 'here already, or lower than what is here' }),
    refused: z.array(z.object({ index: z.int(), reason: z.string() })),
  })
  .meta({ id: 'ReceiptBatchResult' })
export type ReceiptBatchResult = z.infer<typeof ReceiptBatchResultSchema>

export const ReceiptItemSchema = z
  .object({ cursor: z.int(), grant: SignedGrantSchema, receipt: SignedReceiptSchema })
  .meta({ id: 'ReceiptItem' })

/** In the order of arrival; a receipt that rises comes again with a later cursor. */
export const ReceiptFeedSchema = z
  .object({
    items: z.array(ReceiptItemSchema),
    next: z
      .int()
      .meta({ description: 'pass it as "after"; equal to it when there is nothing new' }),
  })
  .meta({ id: 'ReceiptFeed' })

export const BillSchema = z
  .object({
    epoch: z.int(),
    vendor: EvmAddressSchema,
    root: DigestSchema,
    cumulativeGas18: AmountSchema,
    gas18: AmountSchema.meta({ description: 'of this epoch alone' }),
    receipts: z.int(),
    bytes: AmountSchema,
    signedAt: TimeSchema,
    settledAt: TimeSchema.nullable(),
    transaction: DigestSchema.nullable(),
  })
  .meta({ id: 'Bill' })

export const BillingSchema = z
  .object({
    vendor: EvmAddressSchema,
    /** By the formula of settlement over the receipts that are here. */
    cumulativeGas18: AmountSchema,
    billedGas18: AmountSchema.meta({ description: 'in epochs that were signed' }),
    unsettledGas18: AmountSchema.meta({
      description: 'estimate: receipts that no epoch covers yet',
    }),
    unsettledBytes: AmountSchema,
    unsettledReceipts: z.int(),
    balanceGas18: AmountSchema.nullable().meta({
      description: 'as the bridge last read it from the chain; null when it has not said',
    }),
    balanceAt: TimeSchema.nullable(),
    bills: z.array(BillSchema),
  })
  .meta({ id: 'Billing' })
export type Billing = z.infer<typeof BillingSchema>

/** The bridge proposes an epoch; the gateway signs it only when its own receipts give the same total. */
export const EpochRequestSchema = z
  .object({
    vendor: EvmAddressSchema,
    epoch: z.int().min(1),
    totalCumulativeGas18: AmountSchema,
    root: DigestSchema,
    throughCursor: z.int().min(0),
  })
  .meta({ id: 'EpochRequest' })

export const EpochSignedSchema = z
  .object({
    vendor: EvmAddressSchema,
    epoch: z.int(),
    totalCumulativeGas18: AmountSchema,
    root: DigestSchema,
    signer: EvmAddressSchema,
    signature: SignatureSchema.meta({
      description:
        'EIP-712 EpochRoot(address vendor,uint64 epoch,uint256 totalCumulativeGas18,bytes32 root)',
    }),
  })
  .meta({ id: 'EpochSigned' })

/** The bridge reports what became of an epoch and what is left. */
export const EpochStatusSchema = z
  .object({
    vendor: EvmAddressSchema,
    epoch: z.int().min(1).optional(),
    transaction: DigestSchema.optional(),
    settledAt: TimeSchema.optional(),
    balanceGas18: AmountSchema.optional(),
  })
  .meta({ id: 'EpochStatus' })
