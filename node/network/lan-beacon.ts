import { createCipheriv, createDecipheriv, hkdfSync } from 'node:crypto'
import { concat, type Random } from '../base/index.ts'

/** What a device says of itself to those on its network that know the same secret. */
export interface Beacon {
  /** 33 bytes. */
  readonly publicKey: Uint8Array
  /** Unix milliseconds; rises with each beacon of a device. */
  readonly sentAtMs: number
  /** Whoever hears it shall answer. */
  readonly asks: boolean
  /** IPv4 address that it is sent from, so that nobody else can send it again as his own. */
  readonly ip: string
  readonly tcpPort: number | undefined
  readonly httpPort: number | undefined
}

/*
 * nonce, 12 bytes | sealed: time u64, asks u8, address, TCP port u16, HTTP port u16, public key | tag, 16 bytes
 *
 * AES-256-GCM with a random nonce. To those without the secret each is 78 random bytes: they see that somebody
 * here fetches something, but neither what nor who he is. To tell it from junk costs a few microseconds.
 */
const NONCE_BYTES = 12
const TAG_BYTES = 16
const BODY_BYTES = 50
export const BEACON_BYTES = NONCE_BYTES + BODY_BYTES + TAG_BYTES
const CIPHER = 'aes-256-gcm'
const EMPTY = new Uint8Array(0)

export function beaconKeyOf(secret: Uint8Array): Uint8Array {
  return new Uint8Array(hkdfSync('sha256', secret, EMPTY, 'ioex/lan/1', 32))
}

export function sealBeacon(key: Uint8Array, beacon: Beacon, random: Random): Uint8Array {
  const body = new Uint8Array(BODY_BYTES)
  const view = new DataView(body.buffer)
  view.setBigUint64(0, BigInt(beacon.sentAtMs))
  view.setUint8(8, beacon.asks ? 1 : 0)
  body.set(beacon.ip.split('.').map(Number), 9)
  view.setUint16(13, beacon.tcpPort ?? 0)
  view.setUint16(15, beacon.httpPort ?? 0)
  body.set(beacon.publicKey, 17)
  const nonce = random.bytes(NONCE_BYTES)
  const cipher = createCipheriv(CIPHER, key, nonce)
  return concat([nonce, cipher.update(body), cipher.final(), cipher.getAuthTag()])
}

/** Undefined for whatever was not sealed with this key. */
export function openBeacon(key: Uint8Array, datagram: Uint8Array): Beacon | undefined {
  if (datagram.byteLength !== BEACON_BYTES) return undefined
  const cipher = createDecipheriv(CIPHER, key, datagram.subarray(0, NONCE_BYTES), {
    authTagLength: TAG_BYTES,
  })
  cipher.setAuthTag(datagram.subarray(-TAG_BYTES))
  const body = new Uint8Array(cipher.update(datagram.subarray(NONCE_BYTES, -TAG_BYTES)))
  try {
    cipher.final()
  } catch {
    return undefined
  }
  const view = new DataView(body.buffer)
  return {
    sentAtMs: Number(view.getBigUint64(0)),
    asks: view.getUint8(8) === 1,
    ip: body.subarray(9, 13).join('.'),
    tcpPort: view.getUint16(13) || undefined,
    httpPort: view.getUint16(15) || undefined,
    publicKey: body.slice(17),
  }
}
