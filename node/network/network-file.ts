import { peerIdFromString } from '@libp2p/peer-id'
import { multiaddr } from '@multiformats/multiaddr'
import { z } from 'zod'
import { type Clock, fromHex, toHex, utf8 } from '../base/index.ts'
import { type EvmAddress, type Identity, recoverMessageSigner } from '../identity/index.ts'
import { canonicalJson } from './canonical-json.ts'
import { networkError } from './errors.ts'
import type { NetworkFile, SignedNetworkFile } from './types.ts'

const PURPOSE = 'network-file'
/** A list of a thousand bootstraps is a few hundred KiB; nobody dials more. */
const MAX_ENTRIES = 1000
const MAX_ADDRESSES = 16

const evmAddress = z
  .string()
  .regex(/^0x[0-9a-f]{40}$/, 'must be 0x and 40 lower-case hexadecimal digits')
  .transform((text) => text as EvmAddress)
const amount = z.string().regex(/^\d{1,78}$/, 'must be a decimal string')
const peerId = z.string().max(128).refine(isPeerId, 'is no PeerId')
const address = z.string().max(512).refine(isMultiaddr, 'is no multiaddr')
const moment = z.iso.datetime()

const networkFile = z.strictObject({
  version: z.int().nonnegative(),
  issuedAt: moment,
  expires: moment,
  ledger: z.strictObject({
    chainId: z.int().positive(),
    verifyingContract: evmAddress,
    token: evmAddress,
    gas: evmAddress,
  }),
  prices: z
    .array(
      z.strictObject({
        version: z.int().nonnegative(),
        service: z.string().regex(/^0x[0-9a-f]{64}$/, 'must be 32 bytes as hexadecimal digits'),
        priceGas18: amount,
        unitBytes: amount,
      }),
    )
    .max(MAX_ENTRIES),
  bootstraps: z
    .array(z.strictObject({ peerId, multiaddrs: z.array(address).max(MAX_ADDRESSES) }))
    .max(MAX_ENTRIES),
  announcers: z.array(z.strictObject({ peerId, signer: evmAddress })).max(MAX_ENTRIES),
  seeds: z.array(z.strictObject({ peerId, payout: z.exactOptional(evmAddress) })).max(MAX_ENTRIES),
})

const signedNetworkFile = z.strictObject({
  signed: networkFile,
  signature: z.string().regex(/^0x[0-9a-f]{130}$/, 'must be 65 bytes as hexadecimal digits'),
})

/** The operator's signature over a network file. Throws `network-file-invalid` when it breaks the format. */
export function signNetworkFile(
  operator: Pick<Identity, 'signMessage'>,
  file: NetworkFile,
): SignedNetworkFile {
  const signed = parse(networkFile, file)
  return { signed, signature: toHex(operator.signMessage(PURPOSE, utf8(canonicalJson(signed)))) }
}

/** Whoever signed a network file, for those who take it by hand and vouch for it. Throws `network-file-invalid`. */
export function networkFileSigner(candidate: unknown): EvmAddress {
  const { signed, signature } = parse(signedNetworkFile, candidate)
  const bytes = fromHex(signature) ?? new Uint8Array()
  const signer = recoverMessageSigner(PURPOSE, utf8(canonicalJson(signed)), bytes)
  if (signer === undefined) throw invalid('its signature is not one', 'peer')
  return signer
}

/**
 * A network file from disk or from the gateway, after checking form, signature and expiry.
 * Throws `network-file-invalid`, naming the first fault.
 */
export function verifyNetworkFile(
  candidate: unknown,
  expected: { readonly operator: EvmAddress; readonly clock: Pick<Clock, 'nowMs'> },
): NetworkFile {
  const signed = parse(signedNetworkFile, candidate).signed
  if (networkFileSigner(candidate) !== expected.operator) {
    throw invalid('it was not signed by the operator that this node trusts', 'peer')
  }
  if (Date.parse(signed.expires) <= expected.clock.nowMs()) {
    throw invalid(`it expired at ${signed.expires}`, 'local')
  }
  return signed
}

function parse<T>(schema: z.ZodType<T>, candidate: unknown): T {
  const result = schema.safeParse(candidate)
  if (result.success) return result.data
  const [issue] = result.error.issues
  throw invalid(`${issue?.path.join('.') ?? ''} ${issue?.message ?? ''}`.trim(), 'caller')
}

function invalid(reason: string, blame: 'caller' | 'peer' | 'local') {
  return networkError('network-file-invalid', `the network file is not valid: ${reason}`, {
    blame,
    fix: 'Get the present network.json from the operator and check the clock of this machine.',
  })
}

function isPeerId(text: string): boolean {
  return parses(() => peerIdFromString(text))
}

function isMultiaddr(text: string): boolean {
  return parses(() => multiaddr(text))
}

/** These parsers tell by throwing only. */
function parses(run: () => unknown): boolean {
  try {
    run()
    return true
  } catch {
    return false
  }
}
