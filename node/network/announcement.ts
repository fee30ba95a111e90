import { createHash } from 'node:crypto'
import * as dagCbor from '@ipld/dag-cbor'
import { CID } from 'multiformats/cid'
import { z } from 'zod'
import { type Clock, concat, fromHex, toHex } from '../base/index.ts'
import {
  type EvmAddress,
  type Identity,
  recoverMessageSigner,
  SIGNATURE_BYTES,
} from '../identity/index.ts'
import { networkError } from './errors.ts'
import {
  ANNOUNCEMENT_MAX_AGE_MS,
  ANNOUNCEMENT_MAX_AHEAD_MS,
  MAX_ANNOUNCEMENT_BYTES,
  TOPICS,
} from './limits.ts'
import type { Announcement } from './types.ts'

const PURPOSE = 'announcement'
const TOPIC_PREFIX = '/ioex/announce/1/'

/** On the wire: 65 bytes of signature, then dag-cbor of this. One form per announcement (dag-cbor is canonical). */
const wireForm = z.strictObject({
  v: z.literal(1),
  vendor: z.instanceof(Uint8Array).refine((bytes) => bytes.byteLength === 20),
  root: z.string().max(128).refine(isCid),
  model: z.string().max(256),
  version: z.string().max(256),
  at: z.int().nonnegative(),
})

/** The topic on which a vendor's announcements travel: the first byte of sha-256 of its address, modulo 16. */
export function topicOf(vendor: EvmAddress): string {
  const digest = createHash('sha256')
    .update(fromHex(vendor) ?? new Uint8Array())
    .digest()
  return `${TOPIC_PREFIX}${(digest[0] ?? 0) % TOPICS}`
}

export const allTopics: readonly string[] = Array.from(
  { length: TOPICS },
  (_, index) => `${TOPIC_PREFIX}${index}`,
)

/** Throws `announcement-too-large`. */
export function encodeAnnouncement(
  signer: Pick<Identity, 'signMessage'>,
  announcement: Announcement,
): Uint8Array {
  const body = dagCbor.encode({
    v: 1,
    vendor: fromHex(announcement.vendor) ?? new Uint8Array(),
    root: announcement.root,
    model: announcement.model,
    version: announcement.version,
    at: announcement.issuedAtMs,
  })
  const message = concat([signer.signMessage(PURPOSE, body), body])
  if (message.byteLength > MAX_ANNOUNCEMENT_BYTES || decodeBody(body) === undefined) {
    throw networkError('announcement-too-large', 'the announcement does not fit its format', {
      blame: 'caller',
      fix: 'Keep model and version below 256 characters each, and root a CID.',
    })
  }
  return message
}

export type Verdict =
  | { readonly kind: 'valid'; readonly announcement: Announcement }
  /** Not worth passing on, but nothing that only a liar would send. */
  | { readonly kind: 'stale' }
  | { readonly kind: 'invalid' }

/** Checks size, form, topic, signature and age. Costs one native signature recovery (80 µs). */
export function judgeAnnouncement(
  message: Uint8Array,
  topic: string,
  signers: ReadonlySet<EvmAddress>,
  clock: Pick<Clock, 'nowMs'>,
): Verdict {
  if (message.byteLength > MAX_ANNOUNCEMENT_BYTES) return { kind: 'invalid' }
  const body = message.subarray(SIGNATURE_BYTES)
  const announcement = decodeBody(body)
  if (announcement === undefined || topicOf(announcement.vendor) !== topic) {
    return { kind: 'invalid' }
  }
  const signer = recoverMessageSigner(PURPOSE, body, message.subarray(0, SIGNATURE_BYTES))
  if (signer === undefined || !signers.has(signer)) return { kind: 'invalid' }
  const ageMs = clock.nowMs() - announcement.issuedAtMs
  if (ageMs > ANNOUNCEMENT_MAX_AGE_MS || ageMs < -ANNOUNCEMENT_MAX_AHEAD_MS) {
    return { kind: 'stale' }
  }
  return { kind: 'valid', announcement }
}

function decodeBody(body: Uint8Array): Announcement | undefined {
  const decoded = tryDecode(body)
  const parsed = wireForm.safeParse(decoded)
  if (!parsed.success) return undefined
  const { vendor, root, model, version, at } = parsed.data
  return { vendor: toHex(vendor), root, model, version, issuedAtMs: at }
}

/** dag-cbor tells of malformed bytes by throwing; strangers' bytes are malformed as a matter of course. */
function tryDecode(bytes: Uint8Array): unknown {
  try {
    return dagCbor.decode(bytes)
  } catch {
    return undefined
  }
}

function isCid(text: string): boolean {
  try {
    CID.parse(text)
    return true
  } catch {
    return false
  }
}
