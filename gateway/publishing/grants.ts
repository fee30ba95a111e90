import { type SignedGrantJson, grantToJson } from '@ioex/node/api'
import { unixSeconds } from '@ioex/node/base'
import type { EvmAddress } from '@ioex/node/identity'
import { serviceId, signGrant } from '@ioex/node/receipts'
import type { Parts } from '../context.ts'
import {
  GRANT_EARLY_S,
  GRANT_SLACK_BYTES,
  GRANT_VALIDITY_S,
  GRANTS_PER_RELEASE_AND_DAY,
} from '../limits.ts'
import { ProblemError } from '../problems.ts'
import { digestOf, parseCid } from '../store/cids.ts'
import { deltasOf } from '../store/deltas.ts'
import { addDeviceEvent } from '../store/devices.ts'
import type { ReleaseRow } from '../store/tables.ts'
import { ledgerOf, priceNow } from './ledger.ts'

const NO_DELTA = `0x${'00'.repeat(32)}` as const
const DAY_MS = 24 * 60 * 60_000
export const BANDWIDTH_SERVICE = 'ioex/bandwidth'

type Needs = Pick<Parts, 'db' | 'clock' | 'node' | 'keys'>

/**
 * The authorization code of one device for one release: how many bytes any servers may bill for it. At most
 * ceil(1.1 x sealed bytes expected) + 1 MiB (design 2.9), where the bytes expected are those of the delta
 * when the device has a base for which there is one.
 */
export async function issueGrant(
  needs: Needs,
  device: EvmAddress,
  request: { readonly root: string; readonly baseRoot?: string | undefined },
): Promise<SignedGrantJson> {
  const release = await grantable(needs, device, request.root)
  const delta = deltasOf(release).find(({ baseRoot }) => baseRoot === request.baseRoot)
  const nowMs = needs.clock.nowMs()
  const { count } = await needs.db
    .selectFrom('device_events')
    .select((expression) => expression.fn.countAll<number>().as('count'))
    .where('device', '=', device)
    .where('event', '=', 'granted')
    .where('release', '=', release.id)
    .where('at_ms', '>', nowMs - DAY_MS)
    .executeTakeFirstOrThrow()
  if (Number(count) >= GRANTS_PER_RELEASE_AND_DAY) {
    throw new ProblemError(
      'grants-used-up',
      `${GRANTS_PER_RELEASE_AND_DAY} grants a day are the most for one release`,
      { fix: 'Find out why bytes are lost on the way, and try again tomorrow.' },
    )
  }
  const { grant_serial } = await needs.db
    .updateTable('devices')
    .set((expression) => ({ grant_serial: expression('grant_serial', '+', 1) }))
    .where('id', '=', device)
    .returning('grant_serial')
    .executeTakeFirstOrThrow()
  const service = serviceId(BANDWIDTH_SERVICE)
  const nowS = unixSeconds(needs.clock)
  const signer = await needs.keys.voucherSigner(release.vendor)
  const grant = signGrant(signer, ledgerOf(needs.node), {
    vendor: release.vendor as EvmAddress,
    device,
    root: digestOf(parseCid(release.id)),
    deltaRoot: delta === undefined ? NO_DELTA : digestOf(parseCid(delta.deltaRoot)),
    maxBytes: maxBytesFor(delta?.bytes ?? release.sealed_bytes),
    service,
    priceVersion: priceNow(needs.node, service),
    notBefore: nowS - GRANT_EARLY_S,
    notAfter: nowS + GRANT_VALIDITY_S,
    serial: BigInt(grant_serial),
  })
  await addDeviceEvent(needs.db, {
    device,
    at_ms: nowMs,
    event: 'granted',
    release: release.id,
    detail: `at most ${grant.message.maxBytes} bytes`,
    sha256: null,
    fetched_bytes: null,
    sources: '[]',
  })
  return grantToJson(grant)
}

/** ceil(1.1 x bytes) + 1 MiB, in whole numbers. */
function maxBytesFor(sealedBytes: number): bigint {
  return (BigInt(sealedBytes) * 11n + 9n) / 10n + BigInt(GRANT_SLACK_BYTES)
}

/** The release, if this device may fetch it now. */
export async function grantable(
  { db }: Pick<Needs, 'db'>,
  device: EvmAddress,
  root: string,
): Promise<ReleaseRow> {
  const row = await db
    .selectFrom('releases')
    .innerJoin('devices', 'devices.vendor', 'releases.vendor')
    .selectAll('releases')
    .select('devices.model as device_model')
    .where('releases.id', '=', root)
    .where('devices.id', '=', device)
    .executeTakeFirst()
  if (row === undefined) {
    throw new ProblemError('not-found', `there is no release ${root} for this device`, {
      fix: 'Check in to learn which release is the latest.',
    })
  }
  if (row.device_model !== row.model) {
    throw new ProblemError('release-for-another-model', `the release is for ${row.model}`, {
      fix: `This device is a ${row.device_model}; check in to learn its latest release.`,
    })
  }
  if (row.state === 'withdrawn') {
    throw new ProblemError('release-withdrawn', `version ${row.version} was withdrawn`, {
      fix: 'Keep what runs, and check in for a newer release.',
    })
  }
  if (row.state !== 'published' && row.state !== 'superseded') {
    throw new ProblemError('release-not-published', `version ${row.version} is ${row.state}`, {
      fix: 'Check in to learn which release is the latest.',
    })
  }
  return row
}
