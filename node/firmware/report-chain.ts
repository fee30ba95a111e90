import { hash } from 'node:crypto'
import {
  REPORT_PURPOSE,
  type ReportHead,
  reportMessage,
  ReportSchema,
  type Report,
  type SignedReport,
} from '../api/index.ts'
import { accepted, fromHex, type Hex, type Result, refused, toHex } from '../base/index.ts'
import { type EvmAddress, type Identity, recoverMessageSigner } from '../identity/index.ts'

/** The end of a device's chain of reports: what the next one follows. */
export interface ChainEnd {
  readonly seq: number
  /** Hash of the last head. */
  readonly head: Hex
}

export const EMPTY_CHAIN: ChainEnd = { seq: 0, head: `0x${'00'.repeat(32)}` }

export type ReportRefusal =
  /** Not signed by the device that it names, or changed since. */
  | 'report-forged'
  /** The report is not the one whose hash was signed. */
  | 'report-body-changed'
  /** Something is missing between what is there and this. */
  | 'report-gap'
  /** Another report with this number is there, or it follows another than is there. */
  | 'report-forked'

/** SHA-256 of what is signed: what the next head names as `prev`. */
export function reportHash(head: ReportHead): Hex {
  return `0x${hash('sha256', reportMessage(head), 'hex')}`
}

export function signReport(
  identity: Pick<Identity, 'evmAddress' | 'signMessage'>,
  end: ChainEnd,
  report: Report & { readonly event: ReportHead['event'] },
  atMs: number,
): { readonly signed: SignedReport; readonly end: ChainEnd } {
  const text = JSON.stringify(report)
  const head: ReportHead = {
    device: identity.evmAddress,
    seq: end.seq + 1,
    prev: end.head,
    root: report.root,
    event: report.event,
    atMs,
    body: `0x${hash('sha256', text, 'hex')}`,
  }
  const signature = toHex(identity.signMessage(REPORT_PURPOSE, reportMessage(head)))
  return {
    signed: { head, signature, report: text },
    end: { seq: head.seq, head: reportHash(head) },
  }
}

/** Is this head signed by the device that it names? */
export function isReportOf(device: EvmAddress, head: ReportHead, signature: Hex): boolean {
  const bytes = fromHex(signature)
  if (head.device !== device || bytes === undefined) return false
  return recoverMessageSigner(REPORT_PURPOSE, reportMessage(head), bytes) === device
}

/** The report inside, checked against what was signed; null when the device no longer had it. */
export function openReport(
  device: EvmAddress,
  signed: SignedReport,
): Result<Report | null, ReportRefusal> {
  const { head, signature, report } = signed
  if (!isReportOf(device, head, signature)) return refused('report-forged')
  if (report === null) return accepted(null)
  if (`0x${hash('sha256', report, 'hex')}` !== head.body) return refused('report-body-changed')
  const body = parse(report)
  const agrees = body?.root === head.root && body.event === head.event
  return agrees ? accepted(body) : refused('report-body-changed')
}

function parse(text: string): Report | undefined {
  try {
    return ReportSchema.safeParse(JSON.parse(text)).data
  } catch (thrown) {
    if (thrown instanceof SyntaxError) return undefined
    throw thrown
  }
}

/**
 * Does `head` follow the end of a chain? Accepted with `isNew: false` when it is the very report that is there:
 * sending again changes nothing.
 */
export function followsChain(
  end: ChainEnd,
  head: ReportHead,
): Result<{ readonly isNew: boolean }, ReportRefusal> {
  if (head.seq === end.seq) {
    return reportHash(head) === end.head ? accepted({ isNew: false }) : refused('report-forked')
  }
  if (head.seq > end.seq + 1) return refused('report-gap')
  if (head.seq < end.seq) return refused('report-forked')
  return head.prev === end.head ? accepted({ isNew: true }) : refused('report-forked')
}
