/**
 * A journal file is frames only: `{magic u32, length u32, CRC-32 of length and payload u32, payload}`,
 * little-endian. The magic is where reading goes on after damage: a frame counts only when its length and its
 * checksum agree, so what is found behind a damaged stretch is as certain as what stands before it.
 */
import { crc32 } from 'node:zlib'
import { MAX_PAYLOAD_BYTES, SCAN_WINDOW_BYTES } from './limits.ts'

const MAGIC = Buffer.from('iXrJ', 'latin1')
const HEADER_BYTES = 12

export function frameBytes(payloadBytes: number): number {
  return HEADER_BYTES + payloadBytes
}

export function frameOf(payload: Uint8Array): Buffer {
  const frame = Buffer.allocUnsafe(HEADER_BYTES + payload.byteLength)
  MAGIC.copy(frame)
  frame.writeUInt32LE(payload.byteLength, 4)
  frame.set(payload, HEADER_BYTES)
  frame.writeUInt32LE(checksum(frame, 0, payload.byteLength), 8)
  return frame
}

function checksum(buffer: Buffer, at: number, length: number): number {
  const payload = buffer.subarray(at + HEADER_BYTES, at + HEADER_BYTES + length)
  return crc32(payload, crc32(buffer.subarray(at + 4, at + 8)))
}

/** A stretch of the file that holds no whole frame. */
export interface Damage {
  readonly offset: number
  readonly bytes: number
}

export interface ScanReport {
  readonly frames: number
  /** Where the last whole frame ends: what follows is a torn tail. */
  readonly end: number
  /** Damage with whole frames behind it; a torn tail is not in here. */
  readonly damages: readonly Damage[]
}

/** Fills the buffer from the offset and returns how many bytes there were; fewer only at the end of the file. */
export type ReadAt = (into: Buffer, offset: number) => Promise<number>

/** Reads the file in windows; `found` gets each payload, valid during the call only, and where its frame begins. */
export async function scanFrames(
  readAt: ReadAt,
  found: (payload: Buffer, offset: number) => void,
): Promise<ScanReport> {
  const window = Buffer.alloc(SCAN_WINDOW_BYTES)
  const damages: Damage[] = []
  let frames = 0
  let end = 0
  let offset = 0
  for (;;) {
    const filled = await readAt(window, offset)
    const last = filled < window.byteLength
    const limit = last ? filled : filled - (HEADER_BYTES + MAX_PAYLOAD_BYTES)
    let at = 0
    while (at < limit) {
      const length = wholeFrameAt(window, at, filled)
      if (length === undefined) {
        at = nextMagic(window, at + 1, filled)
        continue
      }
      if (offset + at > end) damages.push({ offset: end, bytes: offset + at - end })
      found(window.subarray(at + HEADER_BYTES, at + HEADER_BYTES + length), offset + at)
      frames++
      at += HEADER_BYTES + length
      end = offset + at
    }
    if (last) return { frames, end, damages }
    offset += Math.min(at, filled - MAGIC.byteLength)
  }
}

/** Near the window's end, a magic that is only half there is found again in the next one. */
function nextMagic(window: Buffer, from: number, filled: number): number {
  const at = window.indexOf(MAGIC, from)
  return at < 0 || at >= filled ? filled : at
}

/** The payload's length when a whole, undamaged frame stands here. */
function wholeFrameAt(window: Buffer, at: number, filled: number): number | undefined {
  if (at + HEADER_BYTES > filled || MAGIC.compare(window, at, at + MAGIC.byteLength) !== 0) {
    return undefined
  }
  const length = window.readUInt32LE(at + 4)
  if (length > MAX_PAYLOAD_BYTES || at + HEADER_BYTES + length > filled) return undefined
  return window.readUInt32LE(at + 8) === checksum(window, at, length) ? length : undefined
}
