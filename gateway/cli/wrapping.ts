/** The key of a release for its devices, wrapped on this machine, a cohort at a time. */
import { type Http, RecipientPageSchema } from '@ioex/node/api'
import { wrapReleaseKey } from '@ioex/node/firmware'
import { z } from 'zod'
import { toBase64 } from './vendor-home.ts'

/** Cohorts that go along with the release; more are sent behind it. */
export const WRAPS_AT_ONCE = 16

interface Needs {
  readonly http: Http
  readonly signal: AbortSignal
}

export interface Wrap {
  readonly devices: string[]
  readonly wrap: string
}

/** A wrap for each page of recipients, which is a cohort. */
export async function wrapAll(
  { http, signal }: Needs,
  releaseKey: Uint8Array,
  list: { readonly path: string; readonly query?: Readonly<Record<string, string>> },
): Promise<Wrap[]> {
  const wraps: Wrap[] = []
  let after: string | undefined
  do {
    const page = await http.json(
      { method: 'GET', path: list.path, query: { ...list.query, after }, signal },
      RecipientPageSchema,
    )
    if (page.items.length > 0) {
      const wrap = await wrapReleaseKey(
        releaseKey,
        page.items.map(({ ageRecipient }) => ageRecipient),
      )
      wraps.push({ devices: page.items.map(({ device }) => device), wrap: toBase64(wrap) })
    }
    after = page.next ?? undefined
  } while (after !== undefined)
  return wraps
}

export async function sendWraps(
  { http, signal }: Needs,
  root: string,
  wraps: readonly Wrap[],
): Promise<void> {
  for (let at = 0; at < wraps.length; at += WRAPS_AT_ONCE) {
    await http.json(
      {
        method: 'POST',
        path: `/v1/releases/${root}/wraps`,
        json: { wraps: wraps.slice(at, at + WRAPS_AT_ONCE) },
        signal,
      },
      z.object({ stored: z.int() }),
    )
  }
}
