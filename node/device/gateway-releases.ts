import { join } from 'node:path'
import type { GatewayClient } from '../api/index.ts'
import { type Clock, type Log, utf8 } from '../base/index.ts'
import {
  createMetadataFile,
  createTrustedReleases,
  type MetadataStore,
  type TrustedReleases,
  type TrustedReleasesNeeds,
} from '../firmware/index.ts'
import type { Enrolled } from './enrollment.ts'

/** What a device must know of its enrolment to tell what it may trust. */
export type Membership = Pick<Enrolled['enrollment'], 'vendor' | 'model' | 'tufRoot'>

interface Options {
  readonly folder: string
  readonly enrollment: Membership
}

/** The vendor's TUF repository as the gateway passes it on; what was verified is kept in `folder`. */
export function createGatewayReleases(
  needs: { readonly api: Pick<GatewayClient, 'tufFile'>; readonly clock: Clock; readonly log: Log },
  options: Options,
): TrustedReleases {
  const { vendor } = options.enrollment
  return createOwnReleases(
    {
      ...needs,
      store: trustedMetadata(options.folder),
      fetchMetadata: (name, _maxBytes, abort) =>
        needs.api.tufFile(vendor, `metadata/${name}`, abort),
    },
    options,
  )
}

/** Where this device keeps what it trusts, whoever brought it. */
export function trustedMetadata(folder: string): MetadataStore {
  return createMetadataFile(join(folder, 'trusted-metadata.cbor'))
}

/** What the vendor of this device stands behind, for its model. */
export function createOwnReleases(
  needs: TrustedReleasesNeeds,
  options: Pick<Options, 'enrollment'> & { readonly isCarried?: boolean },
): TrustedReleases {
  const { model, tufRoot } = options.enrollment
  return createTrustedReleases(needs, {
    initialRoot: utf8(JSON.stringify(tufRoot)),
    models: [model],
    isCarried: options.isCarried === true,
  })
}
