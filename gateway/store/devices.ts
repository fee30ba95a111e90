import type { Device } from '@ioex/node/api'
import type { Database } from './open.ts'
import type { DeviceEventRow, DeviceRow } from './tables.ts'
import { timeOf } from './times.ts'
import { DEVICE_HISTORY_MAX_EVENTS } from '../limits.ts'

export function deviceOf(row: DeviceRow): Device {
  return {
    device: row.id as Device['device'],
    vendor: row.vendor as Device['vendor'],
    model: row.model,
    // Only a device with a key of its own has something that release keys can be wrapped for.
    protocol: row.age_recipient === '' ? 'ddi' : 'ioex',
    state: row.state,
    reason: row.reason,
    running: { version: row.running_version, root: row.running_root },
    target: row.target,
    percent: row.percent,
    enrolledAt: timeOf(row.enrolled_ms),
    lastSeenAt: timeOf(row.seen_ms),
  }
}

/** Adds to a device's history and forgets what lies beyond the last 200 events. */
export async function addDeviceEvent(
  db: Database,
  event: Omit<DeviceEventRow, 'id'>,
): Promise<void> {
  await db.insertInto('device_events').values(event).execute()
  const oldest = await db
    .selectFrom('device_events')
    .select('id')
    .where('device', '=', event.device)
    .orderBy('id', 'desc')
    .offset(DEVICE_HISTORY_MAX_EVENTS)
    .limit(1)
    .executeTakeFirst()
  if (oldest === undefined) return
  await db
    .deleteFrom('device_events')
    .where('device', '=', event.device)
    .where('id', '<=', oldest.id)
    .execute()
}
