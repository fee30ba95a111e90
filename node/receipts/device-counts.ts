import type { Hex } from '../base/index.ts'
import type { EvmAddress } from '../identity/index.ts'
import type { Counts } from './checks.ts'
import type { CountsRecord } from './device-record.ts'

/** What a device has signed under one grant. */
export interface GrantCounts {
  readonly notAfter: number
  /** The highest total of any receipt. */
  readonly grantBytes: bigint
  /** The last receipt for each server. */
  readonly servers: ReadonlyMap<EvmAddress, Counts>
}

export function emptyCounts(notAfter: number): GrantCounts {
  return { notAfter, grantBytes: 0n, servers: new Map() }
}

/** The counts after one more record; the input is left as it is. */
export function withRecord(counts: GrantCounts, record: CountsRecord): GrantCounts {
  const { server, serverBytes, grantBytes } = record
  const servers = new Map(counts.servers).set(server, { serverBytes, grantBytes })
  const highest = grantBytes > counts.grantBytes ? grantBytes : counts.grantBytes
  return { notAfter: counts.notAfter, grantBytes: highest, servers }
}

export function recordsOf(grantId: Hex, { notAfter, servers }: GrantCounts): CountsRecord[] {
  return [...servers].map(([server, counts]) => ({ grantId, server, notAfter, ...counts }))
}
