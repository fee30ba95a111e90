import { asError, type Clock, IoexError } from '@ioex/node/base'

/** One call of the chain's JSON-RPC; the answer is checked by whoever asked. */
export type JsonRpc = (method: string, parameters?: readonly unknown[]) => Promise<unknown>

/** A dump of a development chain's state is the longest answer. */
const CALL_TIMEOUT_MS = 60_000

export function createJsonRpc(
  needs: { readonly clock: Clock; readonly fetch: typeof fetch },
  options: { readonly url: string },
): JsonRpc {
  const failed = (message: string, cause?: unknown) =>
    new IoexError('chain-call-failed', message, {
      blame: 'peer',
      fix: `Check that the chain at ${options.url} is running.`,
      cause,
    })
  return async (method, parameters = []) => {
    const silence = new AbortController()
    const cancel = needs.clock.after(CALL_TIMEOUT_MS, () => silence.abort())
    let body: unknown
    try {
      const answer = await needs.fetch(options.url, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ jsonrpc: '2.0', id: 1, method, params: parameters }),
        signal: silence.signal,
      })
      body = await answer.json()
    } catch (thrown) {
      throw failed(`${method}: the chain did not answer`, asError(thrown))
    } finally {
      cancel()
    }
    if (typeof body === 'object' && body !== null && 'result' in body) return body.result
    throw failed(`${method}: the chain refused: ${JSON.stringify(body)}`)
  }
}
