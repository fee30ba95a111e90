import { createParser } from 'eventsource-parser'
import { problemOf } from './problem.ts'

/** Without a byte for so long a stream counts as dead: the gateway sends a line every few seconds. */
const SILENCE_MS = 30_000
const RETRY_MS = 2_000

/**
 * Server-sent events with a bearer token, which the browser's own EventSource cannot send. Each event is the
 * whole state; a stream that breaks is opened again until it has ended by itself or is aborted.
 */
export async function followState<State>(
  path: string,
  token: string,
  signal: AbortSignal,
  heard: (state: State) => void,
  isLast: (state: State) => boolean,
): Promise<void> {
  let last = false
  const parser = createParser({
    onEvent: ({ data }) => {
      const state = JSON.parse(data) as State
      last = isLast(state)
      heard(state)
    },
  })
  while (!signal.aborted && !last) {
    try {
      parser.reset()
      await readStream(path, token, signal, (text) => parser.feed(text))
    } catch (thrown) {
      if (signal.aborted) return
      // A refusal will be one again; a broken line may not.
      if (thrown instanceof Error && thrown.name === 'CallError') throw thrown
    }
    if (!last) await new Promise((resume) => setTimeout(resume, RETRY_MS))
  }
}

async function readStream(
  path: string,
  token: string,
  signal: AbortSignal,
  heard: (text: string) => void,
): Promise<void> {
  const silence = new AbortController()
  let timer = setTimeout(() => silence.abort(), SILENCE_MS)
  try {
    const answer = await fetch(path, {
      headers: { authorization: `Bearer ${token}`, accept: 'text/event-stream' },
      signal: AbortSignal.any([signal, silence.signal]),
    })
    if (!answer.ok) throw await problemOf(answer)
    const reader = answer.body?.pipeThrough(new TextDecoderStream()).getReader()
    for (;;) {
      const part = await reader?.read()
      if (part === undefined || part.done) return
      clearTimeout(timer)
      timer = setTimeout(() => silence.abort(), SILENCE_MS)
      heard(part.value)
    }
  } finally {
    clearTimeout(timer)
  }
}
