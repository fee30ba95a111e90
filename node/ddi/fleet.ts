/** Who answers for the devices behind a face: the gateway with its database, or the agent next to a device. */
import type { AbortOptions } from '../base/index.ts'
import type { ActionState, Step } from './action.ts'
import type { AttributeMode } from './messages.ts'

/** Who a request says that it comes from. */
export interface DdiClaim {
  readonly tenant: string
  readonly controllerId: string
  /** What stood in `Authorization`, if it was of a kind that DDI knows. */
  readonly credential: { readonly kind: 'target' | 'gateway'; readonly token: string } | undefined
  /** Where it came from, for rates. */
  readonly source: string
}

export interface DdiFleet {
  /** The device for which the request speaks; undefined: the credential does not do. */
  admit(claim: DdiClaim): Promise<DdiDevice | undefined>
}

/** A plain file that a stock client loads. */
export interface DdiArtifact {
  readonly filename: string
  readonly bytes: number
  /** Lower-case hexadecimal. */
  readonly sha1: string
  readonly md5: string
  readonly sha256: string
  readonly storedMs: number
  /** Bytes from `from` up to, not including, `to`. */
  read(
    range: { readonly from: number; readonly to: number },
    options?: AbortOptions,
  ): AsyncIterable<Uint8Array>
}

/** hawkBit's software module. One with one artefact for each action: rauc-hawkbit-updater takes no more. */
export interface DdiModule {
  readonly id: number
  readonly name: string
  readonly version: string
  readonly artifact: DdiArtifact
}

export interface DdiAction {
  /** 1 to 2^31 - 1. */
  readonly id: number
  readonly state: ActionState
  /** Newest first. */
  readonly messages: readonly string[]
  readonly module: DdiModule
  /** Not to be begun for now: there is nothing to do, as far as the client hears. */
  readonly isHeld: boolean
}

export interface AutoConfirm {
  readonly initiator: string | null
  readonly remark: string | null
  readonly activatedMs: number
}

export interface DdiStatus {
  /** The one that is not ended, if any. */
  readonly action: DdiAction | undefined
  /** The last that was reported as a success. */
  readonly installedActionId: number | undefined
  readonly wantsAttributes: boolean
}

export interface DdiDevice {
  /** What shall be done now; begins an action when there is something new. */
  poll(): Promise<DdiStatus>
  /** One of this device's own, ended ones too, as far as they are remembered. */
  action(id: number): Promise<DdiAction | undefined>
  /**
   * Applies what `decide` says of the action as it is then, in one piece; durable when it resolves. Undefined
   * when there is no such action.
   */
  step(id: number, decide: (action: Pick<DdiAction, 'state'>) => Step): Promise<Step | undefined>
  /** The module of an action that may be loaded, by its id. */
  module(id: number): Promise<DdiModule | undefined>
  /** False when there would be too many. */
  putAttributes(mode: AttributeMode, data: Readonly<Record<string, string>>): Promise<boolean>
  autoConfirm(): Promise<AutoConfirm | undefined>
  setAutoConfirm(to: Omit<AutoConfirm, 'activatedMs'> | undefined): Promise<void>
}
