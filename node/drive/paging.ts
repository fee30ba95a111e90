import { hash } from 'node:crypto'
import {
  BUNDLE_MAX_BYTES,
  BUNDLED_FILE_MAX_BYTES,
  PAGE_AVERAGE_ENTRIES,
  PAGE_MAX_PAYLOAD_BYTES,
} from './limits.ts'
import type { Found } from './scan.ts'

/** A rough upper bound of what an entry adds to a page's payload: path, link target, numbers, a tree reference. */
function payloadBytes(found: Found): number {
  return Buffer.byteLength(found.path) + Buffer.byteLength(found.target ?? '') + 120
}

/** Ends a page by the path alone, so that the cut stays where it is whatever happens to other files. */
function endsPage(path: string): boolean {
  return hash('sha256', path, 'buffer').readUInt32BE(0) % PAGE_AVERAGE_ENTRIES === 0
}

/** Cuts the sequence of entries into pages that depend on their own entries only. */
export async function* inPages(entries: AsyncIterable<Found>): AsyncGenerator<Found[]> {
  let page: Found[] = []
  let payload = 0
  let bundle = 0
  for await (const found of entries) {
    const bundled = isBundled(found) ? found.size : 0
    const full =
      payload + payloadBytes(found) > PAGE_MAX_PAYLOAD_BYTES || bundle + bundled > BUNDLE_MAX_BYTES
    if (page.length > 0 && full) {
      yield page
      page = []
      payload = 0
      bundle = 0
    }
    page.push(found)
    payload += payloadBytes(found)
    bundle += bundled
    if (endsPage(found.path)) {
      yield page
      page = []
      payload = 0
      bundle = 0
    }
  }
  if (page.length > 0) yield page
}

export function isBundled(found: Found): boolean {
  return found.kind === 'file' && found.size > 0 && found.size <= BUNDLED_FILE_MAX_BYTES
}

/** Equal for a page whose entries have not been touched since: then it is not read again. */
export function stampOf(page: readonly Found[]): string {
  const lines = page.map((found) =>
    JSON.stringify([
      found.path,
      found.kind,
      found.mode,
      String(found.mtimeNs),
      found.size,
      found.target ?? '',
      found.stamp,
    ]),
  )
  return hash('sha256', lines.join('\n'), 'hex')
}
