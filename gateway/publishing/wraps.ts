import { COHORT_MAX_DEVICES, RECIPIENT_PAGE_ITEMS } from '@ioex/node/api'
import type { EvmAddress } from '@ioex/node/identity'
import { wrapReleaseKey } from '@ioex/node/firmware'
import type { Parts } from '../context.ts'
import { ProblemError } from '../problems.ts'
import type { Database } from '../store/open.ts'
import type { ReleaseRow } from '../store/tables.ts'

type Needs = Pick<Parts, 'db' | 'keys' | 'random'>

/**
 * The release key wrapped for a device's cohort. A device that enrolled after the wraps were made gets into a
 * new cohort, together with others of the model that wait for one. Throws `release-key-missing` when the
 * vendor keeps the key and has not wrapped it for this device yet.
 */
export async function wrapFor(
  needs: Needs,
  release: ReleaseRow,
  device: EvmAddress,
): Promise<Uint8Array> {
  const found = await findWrap(needs.db, release.id, device)
  if (found !== undefined) return found
  const releaseKey = await needs.keys.get(release.vendor, `release-key/${release.id}`)
  if (releaseKey === undefined) {
    throw new ProblemError(
      'release-key-missing',
      'the vendor has not wrapped the key for this device',
      {
        fix: 'The vendor runs: ioex firmware wrap',
      },
    )
  }
  await wrapSome(needs, release, releaseKey, device)
  const made = await findWrap(needs.db, release.id, device)
  if (made !== undefined) return made
  throw new ProblemError('release-key-missing', 'the device is not enrolled any more', {
    fix: 'Enrol it again with a new code.',
  })
}

/** Wraps for those who enrolled since, where the gateway has the key: else the vendor does it. */
export async function wrapForLate(needs: Needs, release: ReleaseRow): Promise<void> {
  const releaseKey = await needs.keys.get(release.vendor, `release-key/${release.id}`)
  if (releaseKey !== undefined) await wrapForAll(needs, release, releaseKey)
}

/** All wraps of a release, by id. */
export function wrapsOf(
  db: Database,
  release: string,
  options: { readonly after?: string; readonly limit: number },
): Promise<{ id: string; bytes: Uint8Array }[]> {
  let query = db
    .selectFrom('wraps')
    .select(['id', 'bytes'])
    .where('release', '=', release)
    .orderBy('id')
    .limit(options.limit)
  if (options.after !== undefined) query = query.where('id', '>', options.after)
  return query.execute()
}

/** Wraps for everybody of the model who has none, cohort by cohort. */
export async function wrapForAll(
  needs: Needs,
  release: ReleaseRow,
  releaseKey: Uint8Array,
): Promise<void> {
  while ((await wrapSome(needs, release, releaseKey)) === RECIPIENT_PAGE_ITEMS);
}

/** Devices of the release's model without a wrap, by id. */
export function unwrapped(
  db: Database,
  release: Pick<ReleaseRow, 'id' | 'vendor' | 'model'>,
  options: { readonly after?: string; readonly limit: number },
): Promise<{ id: string; age_recipient: string }[]> {
  let query = db
    .selectFrom('devices')
    .select(['id', 'age_recipient'])
    .where('vendor', '=', release.vendor)
    .where('model', '=', release.model)
    .where('age_recipient', '!=', '')
    .where((where) =>
      where.not(
        where.exists(
          where
            .selectFrom('wrap_members')
            .select('wrap_members.device')
            .whereRef('wrap_members.device', '=', 'devices.id')
            .where('wrap_members.release', '=', release.id),
        ),
      ),
    )
    .orderBy('id')
    .limit(options.limit)
  if (options.after !== undefined) query = query.where('id', '>', options.after)
  return query.execute()
}

/** For a page of devices, `first` among them when given; resolves to how many they are. */
async function wrapSome(
  needs: Needs,
  release: ReleaseRow,
  releaseKey: Uint8Array,
  first?: string,
): Promise<number> {
  const { db } = needs
  const waiting = await unwrapped(db, release, { limit: RECIPIENT_PAGE_ITEMS })
  if (first !== undefined && !waiting.some(({ id }) => id === first)) {
    const own = await db
      .selectFrom('devices')
      .select(['id', 'age_recipient'])
      .where('id', '=', first)
      .executeTakeFirst()
    if (own === undefined) return 0
    waiting.splice(RECIPIENT_PAGE_ITEMS - 1, 1, own)
  }
  const wraps: { readonly bytes: Uint8Array; readonly devices: readonly string[] }[] = []
  for (let at = 0; at < waiting.length; at += COHORT_MAX_DEVICES) {
    const cohort = waiting.slice(at, at + COHORT_MAX_DEVICES)
    const recipients = cohort.map((device) => device.age_recipient)
    wraps.push({
      bytes: await wrapReleaseKey(releaseKey, recipients),
      devices: cohort.map(({ id }) => id),
    })
  }
  await db.transaction().execute(async (transaction) => {
    const into = { ...needs, db: transaction }
    for (const { bytes, devices } of wraps) await storeWrap(into, release.id, bytes, devices)
  })
  return waiting.length
}

/** Within the caller's transaction. A device that is in a cohort already keeps the wrap it has. */
export async function storeWrap(
  { db, random }: Pick<Needs, 'db' | 'random'>,
  release: string,
  bytes: Uint8Array,
  devices: readonly string[],
): Promise<void> {
  const id = Buffer.from(random.bytes(16)).toString('hex')
  await db.insertInto('wraps').values({ id, release, bytes }).execute()
  await db
    .insertInto('wrap_members')
    .values(devices.map((device) => ({ release, device, wrap: id })))
    .onConflict((conflict) => conflict.columns(['release', 'device']).doNothing())
    .execute()
}

async function findWrap(
  db: Database,
  release: string,
  device: string,
): Promise<Uint8Array | undefined> {
  const row = await db
    .selectFrom('wrap_members')
    .innerJoin('wraps', 'wraps.id', 'wrap_members.wrap')
    .select('wraps.bytes')
    .where('wrap_members.release', '=', release)
    .where('wrap_members.device', '=', device)
    .executeTakeFirst()
  return row?.bytes
}
