import { systemClock } from '@ioex/node/base'
import type { FramedStream } from '@ioex/node/network'
import { readRequest, wire } from '@ioex/node/testing'

/**
 * | what | how |
 * | --- | --- |
 * | flips | serves `honestBlocks` well, and one bit wrong in each that comes after |
 * | swaps | the right bytes of another block, one that was asked for too where there is one |
 * | stalls | opens, then says nothing |
 * | mute | takes the stream and does not even open it |
 * | junk | frames of no kind, for ever |
 * | pushes | blocks that nobody asked for, for ever |
 * | promises | says HAVE for ever, and sends nothing |
 * | busy | says every half second that it waits for a receipt |
 */
export type Misbehaviour =
  | { readonly kind: 'flips'; readonly honestBlocks: number }
  | {
      readonly kind: 'swaps' | 'stalls' | 'mute' | 'junk' | 'pushes' | 'promises' | 'busy'
    }

interface Record {
  streams: number
  badAnswers: number
}

/** Serves the exchange's protocol as no node should. */
export function misbehave(
  how: Misbehaviour,
  contents: ReadonlyMap<string, Uint8Array>,
  record: Record,
): (stream: FramedStream) => Promise<void> {
  const blockOtherThan = (digest: string) =>
    [...contents].find(([other]) => other !== digest)?.[1] ?? new Uint8Array(1)
  return async (stream) => {
    record.streams++
    let honest = 0
    const bad = async (frame: Uint8Array) => {
      record.badAnswers++
      await stream.send(frame)
    }
    const answer = async (digests: readonly string[]) => {
      switch (how.kind) {
        case 'flips':
          for (const digest of digests) {
            const bytes = contents.get(digest)
            if (bytes === undefined) continue
            if (honest++ < how.honestBlocks) await stream.send(wire.block(digest, bytes))
            else await bad(wire.block(digest, flipped(bytes)))
          }
          break
        case 'swaps':
          for (const [at, digest] of digests.entries()) {
            const next = digests[(at + 1) % digests.length] ?? digest
            const swapped = next === digest ? undefined : contents.get(next)
            await bad(wire.block(digest, swapped ?? blockOtherThan(digest)))
          }
          break
        case 'junk':
          for (;;) await bad(new Uint8Array(4_000).fill(0x99))
        case 'pushes':
          for (;;) await bad(wire.block('00'.repeat(32), new Uint8Array(64 * 1024)))
        case 'promises':
          for (;;) {
            await bad(wire.have(digests))
            await systemClock.sleep(1)
          }
        case 'busy':
          for (;;) {
            await bad(wire.busy())
            await systemClock.sleep(500)
          }
        case 'stalls':
        case 'mute':
          break
      }
    }
    for (let frame = await stream.receive(); frame !== undefined; frame = await stream.receive()) {
      const request = readRequest(frame)
      if (request?.kind === 'open' && how.kind !== 'mute') await stream.send(wire.opened(true))
      if (request?.kind === 'want') await answer(request.digests)
    }
  }
}

/** One bit of it, in the middle. */
export function flipped(bytes: Uint8Array): Uint8Array {
  const copy = bytes.slice()
  const at = copy.byteLength >> 1
  copy[at] = (copy[at] ?? 0) ^ 1
  return copy
}
