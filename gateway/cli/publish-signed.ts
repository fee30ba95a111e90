/**
 * The last step of a publication with own keys: its blocks are at the gateway, enough holders have signed. Done by
 * the command that sealed it, or by the one that hands in what others have signed.
 */
import { type Http, type Release, ReleaseSchema, RolloutSchema } from '@ioex/node/api'
import { Failure, type Say } from '@ioex/node/cli'
import type { OfflineMetadata } from '@ioex/node/firmware'
import { newFiles } from './signing.ts'
import type { VendorHome, VendorSettings } from './vendor-home.ts'
import { sendWraps, type Wrap, wrapAll, WRAPS_AT_ONCE } from './wrapping.ts'

/** The answer to an upload comes after packing and copying to seeds; an image of 8 GiB takes about an hour. */
export const UPLOAD_TIMEOUT_MS = 4 * 60 * 60_000

interface Needs {
  readonly home: VendorHome
  readonly http: Http
  readonly settings: VendorSettings
  readonly say: Say
  readonly signal: AbortSignal
}

export interface SignedPublication {
  readonly root: string
  readonly model: string
  readonly notes: string
  readonly base: OfflineMetadata
  readonly metadata: OfflineMetadata
}

/** `wraps`: those that were made already. Throws `release-key-missing` on a machine that did not seal it. */
export async function publishSigned(
  needs: Needs,
  { root, model, notes, base, metadata }: SignedPublication,
  made?: readonly Wrap[],
): Promise<Release> {
  const { home, http, settings, say, signal } = needs
  const vendorPath = `/v1/vendors/${settings.vendor}`
  const wraps = made ?? (await wrapsOf(needs, root, `${vendorPath}/recipients`, model))
  const release = await http.json(
    {
      method: 'POST',
      path: `${vendorPath}/releases`,
      json: {
        root,
        notes,
        metadata: newFiles(base, metadata),
        wraps: wraps.slice(0, WRAPS_AT_ONCE),
      },
      timeoutMs: UPLOAD_TIMEOUT_MS,
      signal,
    },
    ReleaseSchema,
  )
  await home.saveMetadata(metadata)
  await sendWraps(needs, root, wraps.slice(WRAPS_AT_ONCE))
  if ((await home.rolloutStart(root)) === undefined) return release
  if (release.state === 'published') await beginRollout(needs, root)
  else say.note(`Its rollout begins with: ioex firmware rollout start ${root}`)
  return release
}

/** Gives the gateway the witnesses whose digests the vendor has signed. False when there is nothing to begin here. */
export async function beginRollout(
  { home, http, signal }: Pick<Needs, 'home' | 'http' | 'signal'>,
  root: string,
): Promise<boolean> {
  const start = await home.rolloutStart(root)
  if (start === undefined) return false
  const json = { release: root, ...start }
  await http.json({ method: 'POST', path: '/v1/rollouts', json, signal }, RolloutSchema)
  return true
}

async function wrapsOf(
  { home, http, signal }: Needs,
  root: string,
  path: string,
  model: string,
): Promise<Wrap[]> {
  const releaseKey = await home.releaseKey(root)
  if (releaseKey !== undefined)
    return wrapAll({ http, signal }, releaseKey, { path, query: { model } })
  throw new Failure('release-key-missing', `the key of ${root} is not in ${home.folder}`, {
    fix: 'Hand the draft in where "ioex firmware publish" was called.',
  })
}
