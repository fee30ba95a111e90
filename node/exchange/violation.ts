import { IoexError } from '../base/index.ts'
import type { ExchangeErrorCode } from './types.ts'

/** What bans a peer: nobody does that by mistake. */
export function violation(what: string): IoexError<ExchangeErrorCode> {
  return new IoexError(
    'protocol-violation',
    `the other side broke the exchange protocol: ${what}`,
    {
      blame: 'peer',
    },
  )
}
