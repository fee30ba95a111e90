/** What the gateway keeps of devices that speak hawkBit's DDI, and of the plain images that they load. */
import type { Generated } from 'kysely'
import type { ActionState } from '@ioex/node/ddi'

/** The plain image of a release as stock clients want it named and hashed. */
interface ArtifactRow {
  /** hawkBit's id of the software module. */
  id: Generated<number>
  release: string
  filename: string
  /** Lower-case hexadecimal. */
  sha1: string
  md5: string
}

/** Beside its row in `devices`, whose id is made from vendor and controller. */
export interface DdiDeviceRow {
  device: string
  vendor: string
  controller: string
  /** 1: the person at the device is asked before an update. */
  confirm: number
  /** JSON of names, as the vendor says: such a device cannot be told on the spot. */
  groups: string
  /** JSON of who switched the question off; null while it is asked. */
  auto_confirm: string | null
  /** JSON; null until the client has sent some. */
  attributes: string | null
}

/** `TargetToken` of one device, or `GatewayToken` of a vendor for one model. */
export interface DdiTokenRow {
  id: string
  vendor: string
  model: string
  name: string
  /** Null for a GatewayToken. */
  device: string | null
  /** Devices that a GatewayToken may still make known. */
  remaining: number
  /** sha-256 of the token, hex. */
  hash: string
  created_ms: number
}

export interface DdiActionRow {
  id: Generated<number>
  device: string
  release: string
  state: ActionState
  /** 1: its rollout pauses; a client that is not at it yet does not hear of it. */
  is_held: number
  /** JSON, newest first. */
  messages: string
  created_ms: number
}

export interface DdiTables {
  artifacts: ArtifactRow
  ddi_devices: DdiDeviceRow
  ddi_tokens: DdiTokenRow
  ddi_actions: DdiActionRow
}
