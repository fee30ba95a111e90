import type { Report } from '@ioex/node/api'
import { addDeviceEvent } from './devices.ts'
import type { Database } from './open.ts'
import type { DeviceRow, ReleaseRow } from './tables.ts'

/** What a device says of a release, by whichever protocol. */
export interface SaidOfRelease {
  readonly device: `0x${string}`
  readonly event: Report['event'] | 'waiting'
  /** Of a download. */
  readonly percent: number | null
  readonly detail: string | null
  readonly sha256?: string | null | undefined
  readonly fetchedBytes?: number | null | undefined
  readonly sources?: Report['sources']
}

/** A row for each step of these would fill the history of a fleet. */
const LASTING = new Set<SaidOfRelease['event']>(['downloading', 'written', 'waiting'])

/** Into the device's state and history, within the caller's transaction. False when there is no such device. */
export async function noteWord(
  transaction: Database,
  release: Pick<ReleaseRow, 'id' | 'version'>,
  said: SaidOfRelease,
  atMs: number,
): Promise<boolean> {
  const { device, event, percent, detail } = said
  const before = await transaction
    .selectFrom('devices')
    .select(['state', 'target'])
    .where('id', '=', device)
    .executeTakeFirst()
  if (before === undefined) return false
  const runs: Partial<DeviceRow> =
    event === 'confirmed' ? { running_version: release.version, running_root: release.id } : {}
  await transaction
    .updateTable('devices')
    .set({ state: event, target: release.id, percent, reason: detail, seen_ms: atMs, ...runs })
    .where('id', '=', device)
    .execute()
  if (LASTING.has(event) && before.state === event && before.target === release.id) return true
  await addDeviceEvent(transaction, {
    device,
    at_ms: atMs,
    event,
    release: release.id,
    detail,
    sha256: said.sha256 ?? null,
    fetched_bytes: said.fetchedBytes ?? null,
    sources: JSON.stringify(said.sources ?? []),
  })
  return true
}
