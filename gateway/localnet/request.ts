import { IoexError } from '@ioex/node/base'

interface Call {
  readonly method?: 'GET' | 'POST'
  readonly token?: string
  readonly json?: unknown
  readonly signal?: AbortSignal
}

/** A call as curl would make it; throws with the problem document's own words. */
export async function requestJson<T>(url: string, call: Call = {}): Promise<T> {
  const answer = await fetch(url, {
    method: call.method ?? 'GET',
    headers: {
      ...(call.token === undefined ? {} : { authorization: `Bearer ${call.token}` }),
      ...(call.json === undefined ? {} : { 'content-type': 'application/json' }),
    },
    ...(call.json === undefined ? {} : { body: JSON.stringify(call.json) }),
    ...(call.signal === undefined ? {} : { signal: call.signal }),
  })
  const text = await answer.text()
  if (answer.ok) return JSON.parse(text) as T
  throw new IoexError('call-refused', `${url} answered ${answer.status}: ${text}`, {
    blame: 'local',
    fix: 'read the log of that process',
  })
}
