import { FetchRequest, JsonRpcProvider, Network } from 'ethers'

/** A call that takes longer has met a chain that does not answer. */
const CALL_TIMEOUT_MS = 15_000
/** How often ethers asks for a transaction's receipt while it waits. */
const POLLING_MS = 200

/**
 * ethers' provider with a fixed network (it would else ask for it for ever, and write to the console, while the
 * chain is away), with a bound on waiting, and without its cache, which would hide a reorganisation.
 */
export function chainProvider(options: {
  readonly rpcUrl: string
  readonly chainId: number
}): JsonRpcProvider {
  const request = new FetchRequest(options.rpcUrl)
  request.timeout = CALL_TIMEOUT_MS
  return new JsonRpcProvider(request, options.chainId, {
    staticNetwork: Network.from(options.chainId),
    batchMaxCount: 1,
    cacheTimeout: -1,
    pollingInterval: POLLING_MS,
  })
}
