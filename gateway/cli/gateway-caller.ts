import { createHttp, type Http } from '@ioex/node/api'
import type { System } from '@ioex/node/cli'

/** Calls of the vendor's commands: bounded, aborted by Ctrl-C, with the problem's wording on failure. */
export function callerOf(
  system: Pick<System, 'clock'>,
  where: { readonly gateway: string; readonly token: string },
): Http {
  return createHttp({ clock: system.clock, fetch: (url, init) => fetch(url, init) }, where)
}
