import { asError, type Clock, codeOf, type Log } from '../base/index.ts'
import { MAX_FRAMES_WITHOUT_BLOCK, OPEN_TIMEOUT_MS } from './limits.ts'
import { IDLE_REASON, type ServerMessage } from './protocol.ts'
import {
  type LinkNeeds,
  type LinkOptions,
  type LinkRefusal,
  openLink,
  type SourceLink,
} from './source-link.ts'
import type { SourceReport } from './types.ts'
import { violation } from './violation.ts'

export interface RunNeeds extends LinkNeeds {
  readonly clock: Clock
  readonly log: Log
}

export interface RunOptions extends LinkOptions {
  readonly opened: (link: SourceLink) => void
  /** Throws `protocol-violation` to have the source banned; waits while nothing more can be taken. */
  readonly received: (message: ServerMessage) => Promise<void>
  /** It will send nothing more; what it is owed can still be paid. */
  readonly refused: (link: SourceLink) => Promise<void>
}

export interface RunEnd {
  readonly outcome: SourceReport['outcome']
  /** It is not worth another attempt in this session. */
  readonly isFinal: boolean
}

const REFUSALS = {
  refused: { outcome: 'refused', isFinal: true },
  'not-now': { outcome: 'refused', isFinal: false },
  unreachable: { outcome: 'unreachable', isFinal: false },
  violation: { outcome: 'banned', isFinal: true },
} as const satisfies Record<LinkRefusal, RunEnd>

/** One source from its first dial to the end of its stream; never throws. */
export async function runLink(needs: RunNeeds, options: RunOptions): Promise<RunEnd> {
  const opened = await open(needs, options)
  if (!opened.ok) return REFUSALS[opened.reason]
  const link = opened.value
  const { signal } = options
  const stop = () => link.abort(asError(signal.reason))
  signal.addEventListener('abort', stop, { once: true })
  if (signal.aborted) stop()
  try {
    options.opened(link)
    return await readAll(needs, link, options)
  } finally {
    signal.removeEventListener('abort', stop)
  }
}

async function open(needs: RunNeeds, options: RunOptions) {
  const timeout = new AbortController()
  const cancel = needs.clock.after(OPEN_TIMEOUT_MS, () =>
    timeout.abort(new Error('the source did not answer in time')),
  )
  const signal = AbortSignal.any([options.signal, timeout.signal])
  try {
    return await openLink(needs, { ...options, signal })
  } catch (thrown) {
    needs.log.debug(
      { peer: options.source.peerId.toString(), reason: asError(thrown).message },
      'a source did not open',
    )
    return { ok: false, reason: 'unreachable' } as const
  } finally {
    cancel()
  }
}

async function readAll(needs: RunNeeds, link: SourceLink, options: RunOptions): Promise<RunEnd> {
  let framesWithoutBlock = 0
  let end: RunEnd = { outcome: 'lost', isFinal: false }
  let farewell: Promise<void> | undefined
  try {
    for (;;) {
      const message = link.receiveNow() ?? (await link.receive())
      if (message === undefined) break
      framesWithoutBlock = message.kind === 'block' ? 0 : framesWithoutBlock + 1
      if (framesWithoutBlock > MAX_FRAMES_WITHOUT_BLOCK) {
        throw violation(`${framesWithoutBlock} frames without a block`)
      }
      if (message.kind !== 'refused') {
        if (farewell === undefined || message.kind === 'receipted') await options.received(message)
        continue
      }
      const isIdle = message.reason === IDLE_REASON
      end = { outcome: isIdle ? 'used' : 'refused', isFinal: !isIdle }
      farewell ??= options.refused(link)
    }
    await farewell
    if (end.outcome === 'lost') noteBreak(link, options)
    return end
  } catch (thrown) {
    const error = asError(thrown)
    link.abort(error)
    await farewell
    const code = codeOf(thrown)
    if (code !== 'protocol-violation' && code !== 'frame-too-large') {
      noteBreak(link, options)
      return end
    }
    // Over plain HTTP somebody on the way could have done it: the wire goes, the peer gets its chance on the other.
    if (link.wire === 'http' && options.wires.distrust(options.source)) {
      needs.log.warn(
        { peer: options.source.peerId.toString(), error },
        'HTTP to a peer is given up',
      )
      return { outcome: 'lost', isFinal: false }
    }
    needs.log.warn({ peer: options.source.peerId.toString(), error }, 'a peer is banned')
    return { outcome: 'banned', isFinal: true }
  }
}

function noteBreak(link: SourceLink, options: RunOptions) {
  if (link.wire === 'http' && !options.signal.aborted) options.wires.broke(options.source)
}
