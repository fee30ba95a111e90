import type { PeerId } from '@libp2p/interface'
import { asError, type Clock, codeOf, concat, type Log } from '../base/index.ts'
import { type Network, within } from '../network/index.ts'
import { KNOCK_TIMEOUT_MS, MAX_KNOCK_BYTES } from './limits.ts'

/** `silent`: somebody was there and said nothing. Over a bootstrap that cannot be told from absence. */
export type KnockOutcome =
  | { readonly kind: 'answered'; readonly answer: Uint8Array }
  | { readonly kind: 'silent' }
  | { readonly kind: 'absent' }

export interface KnockClient {
  /** Over HTTP when there is a URL and it can be reached, else over a bootstrap. */
  knock(
    to: { readonly peerId: PeerId; readonly knockUrl: string | undefined },
    sealed: Uint8Array,
    signal: AbortSignal | undefined,
  ): Promise<KnockOutcome>
}

export function createKnockClient(needs: {
  readonly network: Pick<Network, 'knockThroughBootstrap'>
  readonly clock: Clock
  readonly log: Log
}): KnockClient {
  const overHttp = async (
    url: string,
    sealed: Uint8Array,
    outer: AbortSignal | undefined,
  ): Promise<KnockOutcome> => {
    try {
      const answer = await within(needs.clock, KNOCK_TIMEOUT_MS, outer, async (signal) => {
        const response = await fetch(url, {
          method: 'POST',
          body: new Uint8Array(sealed),
          headers: { 'content-type': 'application/octet-stream' },
          redirect: 'error',
          signal,
        })
        return response.status === 200 ? readBounded(response) : undefined
      })
      return answer === undefined ? { kind: 'silent' } : { kind: 'answered', answer }
    } catch (thrown) {
      outer?.throwIfAborted()
      needs.log.debug({ url, reason: asError(thrown).message }, 'a knock over HTTP failed')
      return { kind: isClosedSocket(thrown) ? 'silent' : 'absent' }
    }
  }
  const overBootstrap = async (
    to: PeerId,
    sealed: Uint8Array,
    signal: AbortSignal | undefined,
  ): Promise<KnockOutcome> => {
    try {
      const answer = await needs.network.knockThroughBootstrap(
        to,
        sealed,
        signal === undefined ? {} : { signal },
      )
      return answer === undefined ? { kind: 'absent' } : { kind: 'answered', answer }
    } catch (thrown) {
      signal?.throwIfAborted()
      if (codeOf(thrown) !== 'no-bootstrap') throw thrown
      return { kind: 'absent' }
    }
  }
  return {
    async knock(to, sealed, signal) {
      if (to.knockUrl !== undefined && isHttp(to.knockUrl)) {
        const outcome = await overHttp(to.knockUrl, sealed, signal)
        if (outcome.kind !== 'absent') return outcome
      }
      return overBootstrap(to.peerId, sealed, signal)
    },
  }
}

function isHttp(url: string): boolean {
  return URL.canParse(url) && /^https?:$/.test(new URL(url).protocol)
}

/** The other side took the connection and closed it without an answer. */
function isClosedSocket(thrown: unknown): boolean {
  const cause = asError(thrown).cause
  const code = codeOf(cause)
  return code === 'UND_ERR_SOCKET' || code === 'ECONNRESET' || code === 'EPIPE'
}

async function readBounded(response: Response): Promise<Uint8Array | undefined> {
  const parts: Uint8Array[] = []
  let length = 0
  if (response.body === null) return undefined
  for await (const part of response.body) {
    length += part.byteLength
    if (length > MAX_KNOCK_BYTES) return undefined
    parts.push(part)
  }
  return concat(parts)
}
