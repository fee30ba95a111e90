import { ApiError } from '../api/index.ts'
import { asError, codeOf } from '../base/index.ts'
import { POLICY_WAITS } from './policy/policy.ts'
import type { WaitReason } from './types.ts'

/** What stopped a round, sorted by what has to be done about it. */
export interface Setback {
  readonly reason: WaitReason
  readonly detail: string
  /** No later try can end better: the release itself is bad. */
  readonly isFinal: boolean
}

const REASONS: Readonly<Record<string, WaitReason>> = {
  'gateway-unreachable': 'gateway-unreachable',
  'gateway-refused': 'gateway-refused',
  'gateway-answer-invalid': 'gateway-refused',
  'gateway-answer-too-large': 'gateway-refused',
  'metadata-refused': 'metadata-refused',
  'metadata-damaged': 'metadata-refused',
  'no-source': 'no-source',
  'no-release-key': 'no-release-key',
  'wrap-invalid': 'release-key-wrong',
  'release-key-wrong': 'release-key-wrong',
  'release-damaged': 'release-refused',
  'release-refused': 'release-refused',
  'image-too-large': 'release-refused',
  'node-damaged': 'content-damaged',
  'chunk-damaged': 'content-damaged',
  'tree-too-deep': 'content-damaged',
  'tree-too-large': 'content-damaged',
  'disk-full': 'disk-full',
  'quota-exceeded': 'disk-full',
  ENOSPC: 'disk-full',
  EDQUOT: 'disk-full',
  'install-failed': 'install-failed',
  'slot-in-use': 'install-failed',
  ...Object.fromEntries(POLICY_WAITS.map((reason) => [reason, reason])),
}

/** Blocks are checked against their CIDs before they are opened, so these are faults of whoever packed it. */
const FINAL = new Set<WaitReason>(['release-refused', 'content-damaged'])

export function setbackOf(thrown: unknown): Setback {
  const error = asError(thrown)
  const reason = REASONS[codeOf(thrown) ?? ''] ?? 'internal'
  const problem = error instanceof ApiError ? error.problem?.code : undefined
  const detail = problem === undefined ? error.message : `${problem}: ${error.message}`
  return { reason, detail, isFinal: FINAL.has(reason) }
}
