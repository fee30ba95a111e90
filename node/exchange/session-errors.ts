import type { CID } from 'multiformats/cid'
import { IoexError } from '../base/index.ts'
import type { ExchangeErrorCode, FetchReport } from './types.ts'

export function noSource(
  giveUpAfterMs: number,
  { sources }: FetchReport,
): IoexError<ExchangeErrorCode> {
  const outcomes = sources.map(({ peerId, outcome }) => `${peerId} ${outcome}`).join(', ')
  return new IoexError(
    'no-source',
    `nothing came for ${giveUpAfterMs} ms from ${sources.length} sources: ${outcomes}`,
    { blame: 'peer', fix: 'Try again later, or with more sources; what has come so far is kept.' },
  )
}

export function sessionClosed(): IoexError<ExchangeErrorCode> {
  return new IoexError('session-closed', 'the session has ended', { blame: 'caller' })
}

export function unsupported(cid: CID): IoexError<ExchangeErrorCode> {
  return new IoexError('cid-unsupported', `${cid.toString()} is not a CID with sha2-256`, {
    blame: 'caller',
    fix: 'Blocks are named by sha2-256 here; make the CID with it.',
  })
}
