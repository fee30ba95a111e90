import type { Clock } from '../base/index.ts'
import { MAX_CAPPED_LINKS } from './limits.ts'
import { createTokenBucket, type TokenBucket } from './token-bucket.ts'
import type { ExchangeOptions } from './types.ts'

/** Upload caps over all streams, and over the streams to one peer. */
export interface UploadCaps {
  /** Waits until so many bytes may go out to this peer. */
  take(peer: string, bytes: number, signal: AbortSignal): Promise<void>
}

type Caps = Pick<
  ExchangeOptions,
  'maxUploadBytesPerSecond' | 'maxUploadBytesPerHour' | 'maxUploadBytesPerSecondPerLink'
>

const HOUR_S = 3_600

export function createUploadCaps(clock: Clock, caps: Caps): UploadCaps {
  const { maxUploadBytesPerSecondPerLink, maxUploadBytesPerHour, maxUploadBytesPerSecond } = caps
  const shared = [
    createTokenBucket(clock, {
      name: 'maxUploadBytesPerSecond',
      bytes: maxUploadBytesPerSecond,
      perS: 1,
    }),
    createTokenBucket(clock, {
      name: 'maxUploadBytesPerHour',
      bytes: maxUploadBytesPerHour,
      perS: HOUR_S,
    }),
  ].filter((bucket) => bucket !== undefined)
  /** The longest unused first: a link that was quiet for so long has its whole allowance anyway. */
  const links = new Map<string, TokenBucket>()
  const linkOf = (peer: string): TokenBucket | undefined => {
    if (maxUploadBytesPerSecondPerLink === undefined) return undefined
    const link =
      links.get(peer) ??
      createTokenBucket(clock, {
        name: 'maxUploadBytesPerSecondPerLink',
        bytes: maxUploadBytesPerSecondPerLink,
        perS: 1,
      })
    if (link === undefined) return undefined
    links.delete(peer)
    links.set(peer, link)
    const [oldest] = links.keys()
    if (links.size > MAX_CAPPED_LINKS && oldest !== undefined) links.delete(oldest)
    return link
  }
  return {
    async take(peer, bytes, signal) {
      // The narrowest first, so that a slow link holds none of what others could use.
      await linkOf(peer)?.take(bytes, signal)
      for (const bucket of shared) await bucket.take(bytes, signal)
    },
  }
}
