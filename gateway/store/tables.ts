/**
 * The rows as they lie in the database, the same in SQLite and PostgreSQL. Times are Unix milliseconds;
 * whole numbers that may pass 2^53 and everything structured (JSON) are text; bytes are blobs.
 */
import type { Generated } from 'kysely'
import type { DEVICE_STATES, ReleaseState, RolloutStatus } from '@ioex/node/api'

export type Engine = 'sqlite' | 'postgres'

export interface VendorRow {
  id: string
  name: string
  custody: 'managed' | 'own'
  created_ms: number
  voucher_signer: string
  online_tuf_key: string
}

/** Sealed by the vault; the purpose is part of what is authenticated. */
interface SecretRow {
  vendor: string
  purpose: string
  sealed: Uint8Array
}

export interface TokenRow {
  id: string
  kind: 'operator' | 'bridge' | 'vendor' | 'device'
  vendor: string | null
  device: string | null
  name: string
  /** Space separated. */
  scopes: string
  /** sha-256 of the token, hex. */
  hash: string
  created_ms: number
  expires_ms: number | null
  used_ms: number | null
}

interface TufFileRow {
  vendor: string
  /** Below `/tuf/{vendor}/metadata/`. */
  name: string
  bytes: Uint8Array
  /** 0 for timestamp.json, which has no version in its name. */
  version: number
  expires_ms: number
}

export interface UploadRow {
  id: string
  vendor: string
  model: string
  version: string
  notes: string
  /** JSON. */
  rollout_plan: string | null
  created_ms: number
  /** CID under which the blocks are held until the root is known. */
  session: string
  kind: 'image' | 'blocks'
}

export interface ReleaseRow {
  /** CID of the root. */
  id: string
  vendor: string
  model: string
  version: string
  notes: string
  state: ReleaseState
  /** Rises with every release of a model that is published; TUF targets carry it. Null before. */
  sequence: number | null
  root_bytes: number
  created_ms: number
  published_ms: number | null
  withdrawn_ms: number | null
  image_bytes: number | null
  image_sha256: string | null
  sealed_bytes: number
  chunks: number | null
  new_bytes: number | null
  release_key_hash: string
  /** JSON of StoredDelta[]. */
  deltas: string
  /** JSON of the TUF files that an own-keys vendor signed for it; null for managed ones, and once published. */
  pending_metadata: string | null
  /** JSON of the plan of a managed vendor; its policy stands in the metadata once it is published. */
  rollout_plan: string | null
}

interface WrapRow {
  id: string
  release: string
  bytes: Uint8Array
}

interface WrapMemberRow {
  release: string
  device: string
  wrap: string
}

interface EnrollmentRow {
  /** sha-256 of the code, hex. */
  hash: string
  vendor: string
  model: string
  remaining: number
  expires_ms: number
}

export interface DeviceRow {
  id: string
  vendor: string
  model: string
  age_recipient: string
  state: (typeof DEVICE_STATES)[number]
  reason: string | null
  running_version: string | null
  running_root: string | null
  target: string | null
  percent: number | null
  enrolled_ms: number
  seen_ms: number | null
  /** The last serial of a grant for it. */
  grant_serial: number
  /** The end of its chain of reports. */
  chain_seq: number
  chain_head: string
}

/** What a device has signed, the newest 1,000 of it. */
interface DeviceReportRow {
  device: string
  seq: number
  prev: string
  root: string
  event: string
  at_ms: number
  body: string
  signature: string
  /** As it was signed; null when the device no longer had it. */
  report: string | null
}

export interface RolloutRow {
  release: string
  vendor: string
  /** JSON of the policy in the vendor's signed metadata. */
  policy: string
  /** JSON of the lists of witnesses, by phase. */
  witnesses: string
  approval: 'automatic' | 'manual'
  status: RolloutStatus
  phase: number
  /** Of the last order; 0 before the first. */
  order_version: number
  order_json: string | null
  order_expires_s: number
  changed_ms: number
}

/** How a device ended with a release that has a rollout. */
interface RolloutDeviceRow {
  release: string
  device: string
  phase: number
  /** Of the report that says so. */
  seq: number
  is_well: number
  is_witness: number
  /** A person has seen these failures and went on. */
  is_set_aside: number
}

export interface DeviceEventRow {
  id: Generated<number>
  device: string
  at_ms: number
  event: string
  release: string | null
  detail: string | null
  sha256: string | null
  fetched_bytes: number | null
  /** JSON. */
  sources: string
}

export interface SeedRow {
  peer_id: string
  server: string
  multiaddrs: string
  http: string | null
  region: string | null
  issued_ms: number
  seen_ms: number
}

interface CopyRow {
  release: string
  peer_id: string
  until_ms: number
  /** JSON of the signed pin order. */
  pin_order: string
  countersignature: string | null
}

/**
 * Only ever added to, so that what an epoch covers can be computed again; rows that a higher receipt of a
 * settled epoch has overtaken are deleted when the next one is signed.
 */
export interface ReceiptRow {
  cursor: number
  grant_id: string
  server: string
  vendor: string
  grant_json: string
  receipt_json: string
  server_bytes: string
  grant_bytes: string
}

export interface EpochRow {
  vendor: string
  epoch: number
  root: string
  total_gas18: string
  gas18: string
  through_cursor: number
  receipts: number
  bytes: string
  signature: string
  signed_ms: number
  settled_ms: number | null
  transaction_hash: string | null
}

interface BalanceRow {
  vendor: string
  gas18: string
  at_ms: number
}

/** `receipts`: the last cursor given out. Its row lock makes commit order and cursor order the same. */
interface CounterRow {
  name: string
  value: number
}

export interface Tables {
  vendors: VendorRow
  secrets: SecretRow
  tokens: TokenRow
  tuf_files: TufFileRow
  uploads: UploadRow
  releases: ReleaseRow
  wraps: WrapRow
  wrap_members: WrapMemberRow
  enrollments: EnrollmentRow
  devices: DeviceRow
  device_events: DeviceEventRow
  device_reports: DeviceReportRow
  rollouts: RolloutRow
  rollout_devices: RolloutDeviceRow
  seeds: SeedRow
  copies: CopyRow
  receipts: ReceiptRow
  epochs: EpochRow
  balances: BalanceRow
  counters: CounterRow
}
