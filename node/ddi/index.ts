/**
 * hawkBit's DDI v1 for unmodified devices: SWUpdate's suricatta, rauc-hawkbit-updater and the like configure a
 * URL and a tenant and ask `URL/TENANT/controller/v1/ID`. One implementation, two places: the gateway answers
 * with it for vendors whose plain images it may have, and an agent next to a device for what came by
 * peer-to-peer.
 *
 * `createDdiFace` turns requests into answers; a `DdiFleet` says who may ask, what is to be done, and keeps
 * what was reported. What a report does to an action is decided here (`action.ts`) and applied by the fleet in
 * one piece:
 *
 * ```
 * awaiting-confirmation -> offered -> running -> finished | error
 *                                |      |  ^
 *                                v      v  | (rejected, closed/failure)
 *                               canceling -> canceled
 * ```
 *
 * Paths, documents, states and what clients rely on beyond the documentation follow hawkBit's `hawkbit-ddi-api`
 * and `DdiRootController`, SWUpdate's `server_hawkbit.c` and `delta_handler.c`, and rauc-hawkbit-updater's
 * `hawkbit-client.c`. Opens no port and keeps nothing.
 */
export {
  ACTION_STATES,
  type ActionState,
  type DdiWord,
  isActive,
  mayBeHeld,
  onTakeBack,
  type Step,
  withMessages,
} from './action.ts'
export { artifactName } from './artifact-name.ts'
export { createDdiFace, type DdiFace, type DdiFaceNeeds, type DdiFaceOptions } from './face.ts'
export type {
  AutoConfirm,
  DdiAction,
  DdiArtifact,
  DdiClaim,
  DdiDevice,
  DdiFleet,
  DdiModule,
  DdiStatus,
} from './fleet.ts'
export { ACTION_ID_MAX, ATTRIBUTES_MAX, RANGES_MAX } from './limits.ts'
export type { AttributeMode } from './messages.ts'
