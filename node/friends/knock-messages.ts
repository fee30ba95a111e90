import { createHmac } from 'node:crypto'
import { decode, encode } from '@ipld/dag-cbor'
import type { PeerId } from '@libp2p/interface'
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr'
import { z } from 'zod'
import { concat, equalBytes, utf8 } from '../base/index.ts'
import { evmAddressOfPublicKey, type Identity, recoverMessageSigner } from '../identity/index.ts'
import { MAX_ADDRESS_BYTES, MAX_ADDRESSES, MAX_HELLO_BYTES } from './limits.ts'

/**
 * What is inside a sealed knock. `to` and `nonce` are under the signature, so that a message is good for one
 * receiver and is recognized when it comes again. There is no time in it: a device may have no clock. What a
 * replay could do is bounded otherwise: a grant lets in the PeerId that it names, as a handshake proves,
 * until the grant ends; a pairing message must have a higher sequence number than the last one of its sender.
 */
const PURPOSE = 'knock'
const PAIRING_INFO = utf8('ioex/pairing-code/1')

const bytes = z.custom<Uint8Array>((value) => value instanceof Uint8Array)
const exactly = (length: number) => bytes.refine((value) => value.byteLength === length)
const addresses = z
  .array(bytes.refine((value) => value.byteLength <= MAX_ADDRESS_BYTES && isMultiaddr(value)))
  .max(MAX_ADDRESSES)

const grantKnock = z.strictObject({ kind: z.literal('grant'), grant: bytes })
const pairKnock = z.strictObject({
  kind: z.literal('pair'),
  nospam: exactly(4),
  hello: z.string().refine((text) => utf8(text).byteLength <= MAX_HELLO_BYTES),
  sequence: z.int().nonnegative(),
  /** The same in every repetition of one request, so that one that was declined is not asked again. */
  request: z.int().nonnegative(),
  addresses,
  /** HMAC that only somebody who knows the pairing code and one of the two private keys can make. */
  proof: z.exactOptional(exactly(32)),
})
/** To somebody who asked: the answer is yes. */
const acceptKnock = z.strictObject({
  kind: z.literal('accept'),
  sequence: z.int().nonnegative(),
  addresses,
})
const body = z.discriminatedUnion('kind', [grantKnock, pairKnock, acceptKnock])
const envelope = z.strictObject({
  v: z.literal(1),
  from: exactly(33),
  to: bytes,
  nonce: exactly(16),
  body,
  signature: exactly(65),
})
const answerForm = z.strictObject({
  v: z.literal(1),
  result: z.enum(['admitted', 'asked', 'befriended']),
  sequence: z.int().nonnegative(),
  /** Direct and relayed ones; empty unless let in. */
  addresses,
  /** Of requests over HTTP, when the grant was shown there. */
  session: z.exactOptional(exactly(16)),
})

export type KnockBody = z.infer<typeof body>
export type PairKnock = z.infer<typeof pairKnock>

export interface Knock {
  readonly from: Uint8Array
  readonly nonce: Uint8Array
  readonly body: KnockBody
}

export interface KnockReply {
  readonly result: 'admitted' | 'asked' | 'befriended'
  readonly sequence: number
  readonly addresses: readonly Multiaddr[]
  readonly session?: Uint8Array
}

export function encodeKnock(
  sender: Pick<Identity, 'publicKey' | 'signMessage'>,
  to: PeerId,
  nonce: Uint8Array,
  content: KnockBody,
): Uint8Array {
  const unsigned = {
    v: 1,
    from: sender.publicKey,
    to: to.toMultihash().bytes,
    nonce,
    body: content,
  }
  const signature = sender.signMessage(PURPOSE, encode(unsigned))
  return encode({ ...unsigned, signature })
}

/** Undefined unless it has the form, is for `self`, and was signed by the key it names. */
export function decodeKnock(self: PeerId, message: Uint8Array): Knock | undefined {
  const parsed = envelope.safeParse(tryDecode(message))
  if (!parsed.success) return undefined
  const { signature, ...unsigned } = parsed.data
  if (!equalBytes(unsigned.to, self.toMultihash().bytes)) return undefined
  const signer = recoverMessageSigner(PURPOSE, encode(unsigned), signature)
  if (signer === undefined || signer !== addressOf(unsigned.from)) return undefined
  return { from: unsigned.from, nonce: unsigned.nonce, body: unsigned.body }
}

export function encodeReply(reply: KnockReply): Uint8Array {
  return encode({ v: 1, ...reply, addresses: addressBytes(reply.addresses) })
}

export function decodeReply(message: Uint8Array): KnockReply | undefined {
  const parsed = answerForm.safeParse(tryDecode(message))
  if (!parsed.success) return undefined
  const { addresses: told, v: _, ...reply } = parsed.data
  return { ...reply, addresses: told.map((one) => multiaddr(one)) }
}

/** At most MAX_ADDRESSES, as the wire has them. */
export function addressBytes(list: readonly Multiaddr[]): Uint8Array[] {
  return list
    .map((address) => address.bytes)
    .filter((one) => one.byteLength <= MAX_ADDRESS_BYTES)
    .slice(0, MAX_ADDRESSES)
}

export const addressList = addresses

/**
 * Proof of knowing the pairing code, bound to both keys and this moment's nonce. It is keyed with a secret
 * of the two long-lived keys, so whoever listens or carries cannot try codes offline, and whoever asks has
 * one guess per knock.
 */
export function pairingProof(
  secret: Uint8Array,
  code: string,
  context: { readonly from: Uint8Array; readonly to: Uint8Array; readonly sequence: number },
): Uint8Array {
  const transcript = encode([
    context.from,
    context.to,
    context.sequence,
    code.normalize('NFKC').trim(),
  ])
  return new Uint8Array(
    createHmac('sha256', secret)
      .update(concat([PAIRING_INFO, transcript]))
      .digest(),
  )
}

function addressOf(publicKey: Uint8Array) {
  try {
    return evmAddressOfPublicKey(publicKey)
  } catch {
    // 33 bytes that are no point of the curve: nobody's key.
    return undefined
  }
}

function isMultiaddr(value: Uint8Array): boolean {
  try {
    return multiaddr(value).getComponents().length > 0
  } catch {
    return false
  }
}

function tryDecode(message: Uint8Array): unknown {
  try {
    return decode(message)
  } catch {
    return undefined
  }
}
