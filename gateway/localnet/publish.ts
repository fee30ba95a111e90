import { openAsBlob } from 'node:fs'
import { stat } from 'node:fs/promises'
import type { Release } from '@ioex/node/api'
import { IoexError } from '@ioex/node/base'
import type { LocalVendor } from './vendor.ts'

/** Publishes a file as `curl --data-binary @FILE` does, in one call; resolves when every seed has it. */
export async function publishFile(
  gatewayUrl: string,
  vendor: LocalVendor,
  release: { readonly file: string; readonly model: string; readonly version: string },
): Promise<Release> {
  // Whatever keeps it from being looked at, the caller is told the name and what to do.
  const found = await stat(release.file).catch(() => undefined)
  if (found === undefined || !found.isFile() || found.size === 0) {
    throw new IoexError('firmware-missing', `${release.file} is not a file with content`, {
      blame: 'caller',
      fix: 'name the firmware image:  npm run demo -- --firmware FILE',
    })
  }
  const query = new URLSearchParams({ model: release.model, version: release.version })
  const answer = await fetch(`${gatewayUrl}/v1/vendors/${vendor.vendor}/releases?${query}`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${vendor.token}`,
      'content-type': 'application/octet-stream',
    },
    body: await openAsBlob(release.file),
  })
  const text = await answer.text()
  if (answer.ok) return JSON.parse(text) as Release
  throw new IoexError('publish-refused', `the gateway answered ${answer.status}: ${text}`, {
    blame: 'local',
    fix: 'read logs/gateway.log',
  })
}
