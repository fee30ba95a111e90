import { crc32 } from 'node:zlib'
import { asError, equalBytes, utf8 } from '../base/index.ts'
import { DIGEST_BYTES } from './digest.ts'
import type { FileLayer, StoredFile } from './file-layer.ts'
import { createGroupCommit } from './group-commit.ts'

const MAGIC = utf8('ioexses1')
const MEMBER_BYTES = DIGEST_BYTES + 4
const FRAME_HEADER_BYTES = 8
/** One frame of at most 36 KiB per barrier and group. */
const MAX_MEMBERS_PER_FRAME = 1_024

/** A block of a closure. The codec is the asker's; two askers of one digest get the first one's codec. */
export interface Member {
  readonly digest: Uint8Array
  readonly codec: number
}

/**
 * The blocks of a session, append-only: frames of `{count u32, CRC-32 of the members u32, members}` with
 * `{digest 32, codec u32}` each. What is behind the last sound frame is a torn tail and is cut off.
 */
export interface SessionList {
  /** Resolves once they are durable. */
  append(members: readonly Member[]): Promise<void>
  close(): Promise<void>
}

export async function openSessionList(
  files: FileLayer,
  path: string,
  isNew: boolean,
  found: (member: Member) => void,
): Promise<SessionList> {
  const file = await files.open(path, isNew ? 'create' : 'change')
  let length: number
  try {
    length = isNew ? 0 : await readFrames(file, found)
    if (length === 0) {
      await file.truncate(0)
      await file.write([MAGIC], 0)
      length = MAGIC.byteLength
    } else await file.truncate(length)
    await file.datasync()
  } catch (thrown) {
    await file.close()
    throw thrown
  }
  let broken: Error | undefined
  const commit = createGroupCommit<Member>({
    maxWeight: MAX_MEMBERS_PER_FRAME,
    weigh: () => 1,
    async write(members) {
      if (broken !== undefined) throw broken
      const frame = encodeFrame(members)
      try {
        await file.write([frame], length)
        await file.datasync()
      } catch (thrown) {
        // Behind a tail that cannot be cut off nothing would be found again.
        await file.truncate(length).catch((again: unknown) => {
          broken = asError(again)
        })
        throw thrown
      }
      length += frame.byteLength
    },
  })
  return {
    append: (members) => commit.submit(members),
    async close() {
      await commit.idle()
      await file.close()
    },
  }
}

function encodeFrame(members: readonly Member[]): Uint8Array {
  const frame = new Uint8Array(FRAME_HEADER_BYTES + members.length * MEMBER_BYTES)
  const view = new DataView(frame.buffer)
  let at = FRAME_HEADER_BYTES
  for (const { digest, codec } of members) {
    frame.set(digest, at)
    view.setUint32(at + DIGEST_BYTES, codec, true)
    at += MEMBER_BYTES
  }
  view.setUint32(0, members.length, true)
  view.setUint32(4, crc32(frame.subarray(FRAME_HEADER_BYTES)), true)
  return frame
}

/** The length of what is sound; 0 when not even the first bytes are. */
async function readFrames(file: StoredFile, found: (member: Member) => void): Promise<number> {
  const magic = new Uint8Array(MAGIC.byteLength)
  if ((await file.read(magic, 0)) < magic.byteLength || !equalBytes(magic, MAGIC)) return 0
  let at = MAGIC.byteLength
  for (;;) {
    const header = new Uint8Array(FRAME_HEADER_BYTES)
    if ((await file.read(header, at)) < FRAME_HEADER_BYTES) return at
    const view = new DataView(header.buffer)
    const count = view.getUint32(0, true)
    if (count === 0 || count > MAX_MEMBERS_PER_FRAME) return at
    const body = new Uint8Array(count * MEMBER_BYTES)
    if ((await file.read(body, at + FRAME_HEADER_BYTES)) < body.byteLength) return at
    if (crc32(body) !== view.getUint32(4, true)) return at
    const members = new DataView(body.buffer)
    for (let from = 0; from < body.byteLength; from += MEMBER_BYTES)
      found({
        digest: body.slice(from, from + DIGEST_BYTES),
        codec: members.getUint32(from + DIGEST_BYTES, true),
      })
    at += FRAME_HEADER_BYTES + body.byteLength
  }
}
