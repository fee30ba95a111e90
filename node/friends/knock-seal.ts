import { createCipheriv, createDecipheriv, hkdfSync } from 'node:crypto'
import { concat, type Random, utf8 } from '../base/index.ts'
import { agree, ephemeralKey } from '../identity/index.ts'

/**
 * A knock is sealed for the one who is knocked at: over a bootstrap it would else tell the bootstrap the
 * direct addresses of both sides, and over HTTP everybody on the way. An ephemeral secp256k1 key is agreed
 * with the receiver's public key (which is in its PeerId), HKDF-SHA256 makes an AES-256-GCM key of it for
 * this one exchange: nonce 0 for the question, nonce 1 for the answer.
 */
const PUBLIC_KEY_BYTES = 33
const TAG_BYTES = 16
const NONCE_BYTES = 12
const INFO = utf8('ioex/knock/1')
/** The session that a knock opens over HTTP has a key of its own out of the same secret; it is never sent. */
const SESSION_INFO = utf8('ioex/http-session/1')

export interface SealedQuestion {
  readonly bytes: Uint8Array
  /** Undefined when it is not the receiver's answer to this question. */
  openAnswer(sealed: Uint8Array): Uint8Array | undefined
  /** The same as the receiver's. */
  readonly sessionKey: Uint8Array
}

export interface OpenedQuestion {
  readonly message: Uint8Array
  sealAnswer(answer: Uint8Array): Uint8Array
  readonly sessionKey: Uint8Array
}

export function sealQuestion(
  random: Random,
  receiver: Uint8Array,
  message: Uint8Array,
): SealedQuestion {
  const { privateKey, publicKey } = ephemeralKey(random)
  const secret = sharedSecret(privateKey, receiver)
  const key = keyOf(secret, publicKey, receiver, INFO)
  return {
    bytes: concat([publicKey, seal(key, 0, message)]),
    openAnswer: (sealed) => open(key, 1, sealed),
    sessionKey: keyOf(secret, publicKey, receiver, SESSION_INFO),
  }
}

/** Undefined for anything that was not sealed for this key. */
export function openQuestion(
  receiver: { readonly privateKey: Uint8Array; readonly publicKey: Uint8Array },
  sealed: Uint8Array,
): OpenedQuestion | undefined {
  const ephemeral = sealed.subarray(0, PUBLIC_KEY_BYTES)
  const secret =
    ephemeral.byteLength === PUBLIC_KEY_BYTES ? agree(receiver.privateKey, ephemeral) : undefined
  if (secret === undefined) return undefined
  const key = keyOf(secret, ephemeral, receiver.publicKey, INFO)
  const message = open(key, 0, sealed.subarray(PUBLIC_KEY_BYTES))
  if (message === undefined) return undefined
  return {
    message,
    sealAnswer: (answer) => seal(key, 1, answer),
    sessionKey: keyOf(secret, ephemeral, receiver.publicKey, SESSION_INFO),
  }
}

/** A secret between two long-lived keys, for proofs that nobody else can check or guess at offline. */
export function sharedSecret(privateKey: Uint8Array, publicKey: Uint8Array): Uint8Array {
  const secret = agree(privateKey, publicKey)
  if (secret === undefined) throw new TypeError('a PeerId has a public key of the curve')
  return secret
}

function keyOf(
  secret: Uint8Array,
  ephemeral: Uint8Array,
  receiver: Uint8Array,
  info: Uint8Array,
): Uint8Array {
  return new Uint8Array(hkdfSync('sha256', secret, concat([ephemeral, receiver]), info, 32))
}

function nonceOf(turn: 0 | 1): Uint8Array {
  const nonce = new Uint8Array(NONCE_BYTES)
  nonce[NONCE_BYTES - 1] = turn
  return nonce
}

function seal(key: Uint8Array, turn: 0 | 1, message: Uint8Array): Uint8Array {
  const cipher = createCipheriv('aes-256-gcm', key, nonceOf(turn))
  return concat([cipher.update(message), cipher.final(), cipher.getAuthTag()])
}

function open(key: Uint8Array, turn: 0 | 1, sealed: Uint8Array): Uint8Array | undefined {
  if (sealed.byteLength < TAG_BYTES) return undefined
  const body = sealed.subarray(0, sealed.byteLength - TAG_BYTES)
  const decipher = createDecipheriv('aes-256-gcm', key, nonceOf(turn))
  decipher.setAuthTag(sealed.subarray(body.byteLength))
  return agreed(() => concat([decipher.update(body), decipher.final()]))
}

/** Node's ciphers tell of wrong input by throwing; strangers' input is wrong as a matter of course. */
function agreed<T>(run: () => T): T | undefined {
  try {
    return run()
  } catch {
    return undefined
  }
}
