import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { peerIdFromString } from '@libp2p/peer-id'
import { multiaddr } from '@multiformats/multiaddr'
import { z } from 'zod'
import {
  type AddressList,
  AddressListSchema,
  type GatewayClient,
  grantFromJson,
  grantToJson,
  SignedGrantSchema,
} from '../api/index.ts'
import {
  type AbortOptions,
  asError,
  type Clock,
  codeOf,
  type Hex,
  type Log,
  type Random,
  shuffled,
  unixSeconds,
  writeFileDurably,
} from '../base/index.ts'
import type { Source } from '../exchange/index.ts'
import { grantId, type SignedGrant } from '../receipts/index.ts'
import { GRANT_MARGIN_S } from './limits.ts'
import { deviceError } from './types.ts'

/** All that a fetch needs of the gateway, kept on disk so that it can go on while the gateway is away. */
export interface Credentials {
  readonly grant: SignedGrant
  /** Every grant that this fetch was given, the present one last. */
  readonly grantIds: readonly Hex[]
  /** In random order. */
  readonly sources: readonly Source[]
  /** The release key, sealed with age for this device's cohort. */
  readonly wrap: Uint8Array
}

export interface CredentialStore {
  /**
   * What is on disk while it lasts, else new from the gateway. `renew` asks for a new grant and new addresses
   * as the old ones did not do, and keeps the old ones when the gateway is away.
   * Throws ApiError and `no-release-key`.
   */
  obtain(
    wanted: { readonly root: string; readonly baseRoot?: string; readonly renew: boolean },
    options?: AbortOptions,
  ): Promise<Credentials>
  clear(): Promise<void>
}

const kept = z.object({
  v: z.literal(1),
  root: z.string(),
  grant: SignedGrantSchema,
  grantIds: z.array(z.templateLiteral(['0x', z.string()])),
  addresses: AddressListSchema,
  wrap: z.base64(),
})
type Kept = z.infer<typeof kept>

export function createCredentialStore(
  needs: {
    readonly api: Pick<GatewayClient, 'grant' | 'addresses' | 'releaseKey'>
    readonly clock: Clock
    readonly random: Random
    readonly log: Log
  },
  options: { readonly folder: string },
): CredentialStore {
  const { api, clock, random, log } = needs
  const path = pathOf(options.folder)

  const load = async (root: string): Promise<Kept | undefined> => {
    const text = await readFile(path, 'utf8').catch((thrown: unknown) => {
      if (codeOf(thrown) !== 'ENOENT') throw thrown
      return undefined
    })
    if (text === undefined) return undefined
    const parsed = kept.safeParse(JSON.parse(text))
    return parsed.success && parsed.data.root === root ? parsed.data : undefined
  }

  const newGrant = async (
    wanted: { readonly root: string; readonly baseRoot?: string },
    abort: AbortOptions,
  ): Promise<SignedGrant> => {
    const { root, baseRoot } = wanted
    return api.grant(baseRoot === undefined ? { root } : { root, baseRoot }, abort)
  }

  const wrapOf = async (root: string, abort: AbortOptions): Promise<Uint8Array> => {
    const wrap = await api.releaseKey(root, abort)
    if (wrap !== undefined) return wrap
    throw deviceError(
      'no-release-key',
      'the release key has not been wrapped for this device yet',
      {
        blame: 'peer',
        fix: 'The publisher adds new devices: ioex firmware publish does it, or the gateway for managed keys.',
      },
    )
  }

  const fresh = async (
    wanted: { readonly root: string; readonly baseRoot?: string },
    earlier: Kept | undefined,
    abort: AbortOptions,
  ): Promise<Kept> => {
    const grant = await newGrant(wanted, abort)
    const addresses = await api.addresses(wanted.root, abort)
    const wrap = earlier?.wrap ?? Buffer.from(await wrapOf(wanted.root, abort)).toString('base64')
    const ids = [...(earlier?.grantIds ?? []), grantId(grant.message)]
    const next: Kept = {
      v: 1,
      root: wanted.root,
      grant: grantToJson(grant),
      grantIds: [...new Set(ids)],
      addresses,
      wrap,
    }
    await writeFileDurably(path, JSON.stringify(next), { mode: 0o600 })
    return next
  }

  const isStale = ({ grant, addresses }: Kept): boolean =>
    grant.message.notAfter <= unixSeconds(clock) + GRANT_MARGIN_S ||
    Date.parse(addresses.issuedAt) + addresses.ttlS * 1000 <= clock.nowMs()

  return {
    async obtain(wanted, abort = {}) {
      const earlier = await load(wanted.root)
      if (earlier !== undefined && !wanted.renew && !isStale(earlier)) {
        return credentialsOf(earlier, random, log)
      }
      try {
        return credentialsOf(await fresh(wanted, earlier, abort), random, log)
      } catch (thrown) {
        if (earlier === undefined || codeOf(thrown) !== 'gateway-unreachable') throw thrown
        log.info(
          { error: asError(thrown) },
          'the gateway is away; going on with what it gave before',
        )
        return credentialsOf(earlier, random, log)
      }
    },
    clear: () => forgetCredentials(options),
  }
}

function pathOf(folder: string): string {
  return join(folder, 'fetch.json')
}

export function forgetCredentials({ folder }: { readonly folder: string }): Promise<void> {
  return rm(pathOf(folder), { force: true })
}

function credentialsOf(own: Kept, random: Random, log: Log): Credentials {
  return {
    grant: grantFromJson(own.grant),
    grantIds: own.grantIds as readonly Hex[],
    sources: shuffled(sourcesOf(own.addresses, log), random),
    wrap: new Uint8Array(Buffer.from(own.wrap, 'base64')),
  }
}

/** An entry that makes no sense costs itself only: the list is a hint. */
function sourcesOf(list: AddressList, log: Log): Source[] {
  const sources: Source[] = []
  for (const { peerId, multiaddrs, http } of list.entries) {
    try {
      sources.push({
        peerId: peerIdFromString(peerId),
        multiaddrs: multiaddrs.map((text) => multiaddr(text)),
        ...(http === undefined ? {} : { http }),
      })
    } catch (thrown) {
      log.warn({ peerId, error: asError(thrown) }, 'an entry of the address list is of no use')
    }
  }
  return sources
}
