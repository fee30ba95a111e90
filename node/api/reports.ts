import { z } from 'zod'
import { ReportSchema } from './devices.ts'
import { CidSchema, DigestSchema, EvmAddressSchema, SignatureSchema } from './scalars.ts'

/** What a device keeps in its chain: everything but the moving of bytes, which is only a hint. */
export const CHAINED_EVENTS = ['written', 'confirmed', 'failed', 'fell-back'] as const

export const REPORT_PURPOSE = 'report'

/** What a device signs. Each names the one before it, so that none can be left out, changed or added later. */
export const ReportHeadSchema = z
  .strictObject({
    device: EvmAddressSchema,
    seq: z.int().min(1).meta({ description: '1, 2, 3, … without a gap' }),
    prev: DigestSchema.meta({ description: 'hash of the head before; zeros for the first' }),
    root: CidSchema,
    event: z.enum(CHAINED_EVENTS),
    atMs: z.int().min(0).meta({ description: 'by the clock of the device' }),
    body: DigestSchema.meta({ description: 'sha-256 of the report as it was written' }),
  })
  .meta({ id: 'ReportHead' })
export type ReportHead = z.infer<typeof ReportHeadSchema>

export const SignedReportSchema = z
  .strictObject({
    head: ReportHeadSchema,
    signature: SignatureSchema.meta({ description: 'signMessage("report", reportMessage(head))' }),
    report: z
      .string()
      .max(64 * 1024)
      .nullable()
      .meta({
        description:
          'the Report as JSON, the bytes that `body` is the hash of; null when the device had no room to keep it',
      }),
  })
  .meta({ id: 'SignedReport' })
export type SignedReport = z.infer<typeof SignedReportSchema>

/** What the gateway holds of a device's chain: the last head that it took. */
export const ReportChainSchema = z
  .object({
    stored: z.boolean().meta({ description: 'false when it was there already' }),
    seq: z.int(),
    head: DigestSchema,
  })
  .meta({ id: 'ReportChain' })
export type ReportChain = z.infer<typeof ReportChainSchema>

/** The bytes under a report's signature: one way only to write a head. */
export function reportMessage(head: ReportHead): Uint8Array {
  const { device, seq, prev, root, event, atMs, body } = head
  return new TextEncoder().encode(JSON.stringify([1, device, seq, prev, root, event, atMs, body]))
}

export const ProgressSchema = ReportSchema.extend({ event: z.literal('downloading') }).meta({
  id: 'Progress',
})
export type Progress = z.input<typeof ProgressSchema>
