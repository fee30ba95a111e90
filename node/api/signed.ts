/**
 * Grants, receipts and pin orders as JSON. The types repeat the shapes of the room receipts, a sibling that
 * this room does not import; they are the same by structure, so values pass from one to the other.
 */
import { z } from 'zod'
import {
  DigestSchema,
  EvmAddressSchema,
  SignatureSchema,
  Uint64Schema,
  UnixSecondsSchema,
} from './scalars.ts'

const Uint32Schema = z.int().min(0).max(0xffff_ffff)

export const SignedGrantSchema = z
  .object({
    message: z.object({
      vendor: EvmAddressSchema,
      device: EvmAddressSchema,
      root: DigestSchema,
      deltaRoot: DigestSchema,
      maxBytes: Uint64Schema,
      service: DigestSchema,
      priceVersion: Uint32Schema,
      notBefore: UnixSecondsSchema,
      notAfter: UnixSecondsSchema,
      serial: Uint64Schema,
    }),
    signature: SignatureSchema,
  })
  .meta({ id: 'SignedGrant', description: 'EIP-712, signed by the voucher signer of the vendor' })
export type SignedGrantJson = z.infer<typeof SignedGrantSchema>

export const SignedReceiptSchema = z
  .object({
    message: z.object({
      grantId: DigestSchema,
      server: EvmAddressSchema,
      serverBytes: Uint64Schema,
      grantBytes: Uint64Schema,
    }),
    signature: SignatureSchema,
  })
  .meta({ id: 'SignedReceipt', description: 'EIP-712, signed by the device' })
export type SignedReceiptJson = z.infer<typeof SignedReceiptSchema>

type HexText = `0x${string}`

export interface GrantValue {
  readonly message: {
    readonly vendor: HexText
    readonly device: HexText
    readonly root: HexText
    readonly deltaRoot: HexText
    readonly maxBytes: bigint
    readonly service: HexText
    readonly priceVersion: number
    readonly notBefore: number
    readonly notAfter: number
    readonly serial: bigint
  }
  readonly signature: HexText
}

export interface ReceiptValue {
  readonly message: {
    readonly grantId: HexText
    readonly server: HexText
    readonly serverBytes: bigint
    readonly grantBytes: bigint
  }
  readonly signature: HexText
}

export function grantFromJson(json: SignedGrantJson): GrantValue {
  const { message, signature } = json
  return {
    message: { ...message, maxBytes: BigInt(message.maxBytes), serial: BigInt(message.serial) },
    signature,
  }
}

export function grantToJson(grant: GrantValue): SignedGrantJson {
  const { message, signature } = grant
  return {
    message: { ...message, maxBytes: String(message.maxBytes), serial: String(message.serial) },
    signature,
  }
}

export function receiptFromJson(json: SignedReceiptJson): ReceiptValue {
  const { message, signature } = json
  return {
    message: {
      ...message,
      serverBytes: BigInt(message.serverBytes),
      grantBytes: BigInt(message.grantBytes),
    },
    signature,
  }
}

export function receiptToJson(receipt: ReceiptValue): SignedReceiptJson {
  const { message, signature } = receipt
  return {
    message: {
      ...message,
      serverBytes: String(message.serverBytes),
      grantBytes: String(message.grantBytes),
    },
    signature,
  }
}
