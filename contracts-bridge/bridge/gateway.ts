import { z } from 'zod'
import { accepted, asError, type Clock, type Hex, refused } from '@ioex/node/base'
import { EpochSignedSchema, ProblemSchema } from '@ioex/node/api'
import { GATEWAY_ANSWER_MAX_BYTES, GATEWAY_TIMEOUT_MS } from './limits.ts'
import { bridgeError, type EpochSigner, type ReceiptSource } from './types.ts'

export interface GatewayNeeds {
  readonly clock: Clock
  readonly fetch: typeof fetch
}

export interface GatewayOptions {
  /** Such as `http://127.0.0.1:8080`. */
  readonly url: string
  /** The bridge's bearer token. */
  readonly token: string
}

/** Grants and receipts are checked one by one afterwards, so that one bad item does not hide the others. */
const FeedSchema = z.object({
  items: z.array(z.object({ cursor: z.int().min(1), grant: z.unknown(), receipt: z.unknown() })),
})

/** Refusals that repeating the same request will not change. */
const FINAL_REFUSALS = [400, 404, 409, 422]

/** The gateway as source of receipts and as voucher signer, over HTTP. */
export function createGateway(
  needs: GatewayNeeds,
  options: GatewayOptions,
): ReceiptSource & EpochSigner {
  const base = options.url.replace(/\/+$/, '')

  const call = async (
    path: string,
    body: unknown,
    signal: AbortSignal | undefined,
  ): Promise<{ readonly status: number; readonly json: unknown }> => {
    signal?.throwIfAborted()
    const silence = new AbortController()
    const cancel = needs.clock.after(GATEWAY_TIMEOUT_MS, () =>
      silence.abort(new Error(`no answer for ${GATEWAY_TIMEOUT_MS / 1000} s`)),
    )
    try {
      const answer = await needs.fetch(`${base}${path}`, {
        method: body === undefined ? 'GET' : 'POST',
        headers: {
          authorization: `Bearer ${options.token}`,
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        signal: signal === undefined ? silence.signal : AbortSignal.any([signal, silence.signal]),
        redirect: 'error',
      })
      return { status: answer.status, json: await boundedJson(answer) }
    } catch (thrown) {
      signal?.throwIfAborted()
      throw unreachable(`${base} did not answer`, asError(thrown))
    } finally {
      cancel()
    }
  }

  return {
    async pull(after, limit, { signal }) {
      const { status, json } = await call(
        `/v1/receipts?after=${after}&limit=${limit}`,
        undefined,
        signal,
      )
      const feed = FeedSchema.safeParse(json)
      if (status !== 200 || !feed.success) throw unreachable(`the feed: ${textOf(status, json)}`)
      return feed.data.items
    },
    async sign(request, _evidence, { signal }) {
      const { status, json } = await call(
        '/v1/billing/epochs',
        {
          vendor: request.vendor,
          epoch: request.epoch,
          totalCumulativeGas18: String(request.totalCumulativeGas18),
          root: request.root,
          throughCursor: request.throughCursor,
        },
        signal,
      )
      const signed = EpochSignedSchema.safeParse(json)
      if (signed.success && signed.data.root === request.root) {
        return accepted<Hex>(signed.data.signature)
      }
      if (FINAL_REFUSALS.includes(status)) return refused(textOf(status, json))
      throw unreachable(`signing an epoch: ${textOf(status, json)}`)
    },
    async report(settled, { signal }) {
      const { status, json } = await call(
        '/v1/billing/status',
        {
          vendor: settled.vendor,
          epoch: settled.epoch,
          transaction: settled.transaction,
          settledAt: new Date(settled.settledAtMs).toISOString(),
          balanceGas18: String(settled.balanceGas18),
        },
        signal,
      )
      if (status !== 200) throw unreachable(`reporting an epoch: ${textOf(status, json)}`)
    },
  }
}

/** The problem's code and sentence, or the status. */
function textOf(status: number, json: unknown): string {
  const problem = ProblemSchema.safeParse(json)
  return problem.success
    ? `${problem.data.code}: ${problem.data.detail ?? problem.data.title}`
    : `status ${status}`
}

async function boundedJson(answer: Response): Promise<unknown> {
  const parts: Uint8Array[] = []
  let bytes = 0
  for await (const part of answer.body ?? []) {
    bytes += part.byteLength
    if (bytes > GATEWAY_ANSWER_MAX_BYTES) throw new Error('the answer is too long')
    parts.push(part)
  }
  return JSON.parse(Buffer.concat(parts).toString('utf8'))
}

function unreachable(message: string, cause?: Error) {
  return bridgeError('gateway-unreachable', message, {
    blame: 'peer',
    fix: 'Check the address, the token and the gateway; the bridge tries again by itself.',
    cause,
  })
}
