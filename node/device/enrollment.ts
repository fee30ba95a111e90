import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import {
  ApiError,
  EnrollmentSchema,
  type EnrollmentRedeemSchema,
  ENROLLMENT_PURPOSE,
  enrollmentMessage,
  type GatewayClient,
} from '../api/index.ts'
import { type AbortOptions, type Clock, codeOf, toHex, writeFileDurably } from '../base/index.ts'
import type { Identity } from '../identity/index.ts'
import { type NetworkFile, verifyNetworkFile } from '../network/index.ts'
import { deviceError } from './types.ts'

/** What a device was told when it was enrolled, kept on disk with mode 0600: the token is in it. */
const enrolledSchema = z.object({
  v: z.literal(1),
  gateway: z.string(),
  enrolledAtMs: z.number(),
  enrollment: EnrollmentSchema,
})
type Stored = z.infer<typeof enrolledSchema>

export interface Enrolled extends Omit<Stored, 'v'> {
  /** Checked against the operator's signature. */
  readonly networkFile: NetworkFile
}

function pathOf(folder: string): string {
  return join(folder, 'enrollment.json')
}

/**
 * Turns an enrolment code into this device's place in a fleet. The keys stay here; the gateway learns the
 * public ones. Throws `already-enrolled`, `code-refused`, `enrolment-invalid` and ApiError.
 */
export async function enrollDevice(
  needs: {
    readonly identity: Pick<Identity, 'publicKey' | 'ageRecipient' | 'signMessage' | 'evmAddress'>
    readonly api: Pick<GatewayClient, 'redeem'>
    readonly clock: Clock
  },
  options: AbortOptions & {
    readonly folder: string
    readonly gateway: string
    readonly code: string
  },
): Promise<Enrolled> {
  const { identity, api, clock } = needs
  const { folder, gateway } = options
  const before = await readEnrollment(folder, needs)
  if (before !== undefined) {
    throw deviceError(
      'already-enrolled',
      `this device belongs to the fleet of ${before.enrollment.vendor} at ${before.gateway}`,
      { blame: 'caller', fix: 'Use another --home, or move the folder of this device away first.' },
    )
  }
  const code = options.code.trim().toUpperCase()
  const claim = { code, publicKey: toHex(identity.publicKey), ageRecipient: identity.ageRecipient }
  const signature = toHex(identity.signMessage(ENROLLMENT_PURPOSE, enrollmentMessage(claim)))
  const enrollment = await redeem(api, { ...claim, signature }, options)
  if (enrollment.device !== identity.evmAddress) {
    throw deviceError('enrolment-invalid', 'the gateway enrolled another device than this one', {
      blame: 'peer',
      fix: 'Do not use this gateway.',
    })
  }
  const networkFile = verifyNetworkFile(enrollment.network, {
    operator: enrollment.operator,
    clock,
  })
  const stored: Stored = { v: 1, gateway, enrolledAtMs: clock.nowMs(), enrollment }
  await writeFileDurably(pathOf(folder), JSON.stringify(stored), { mode: 0o600 })
  return { ...stored, networkFile }
}

async function redeem(
  api: Pick<GatewayClient, 'redeem'>,
  claim: z.input<typeof EnrollmentRedeemSchema>,
  options: AbortOptions & { readonly code: string },
) {
  try {
    return await api.redeem(claim, options)
  } catch (thrown) {
    if (!(thrown instanceof ApiError) || thrown.code !== 'gateway-refused') throw thrown
    throw deviceError('code-refused', thrown.problem?.detail ?? thrown.message, {
      blame: 'caller',
      fix: thrown.fix ?? 'Make a new code: console > Devices > Add.',
      cause: thrown,
    })
  }
}

/** Undefined when this device was never enrolled. Throws `enrolment-invalid` and `network-file-invalid`. */
export async function readEnrollment(
  folder: string,
  needs: { readonly clock: Clock },
): Promise<Enrolled | undefined> {
  const membership = await readMembership(folder)
  if (membership === undefined) return undefined
  const { operator, network } = membership.enrollment
  return {
    ...membership,
    networkFile: verifyNetworkFile(network, { operator, clock: needs.clock }),
  }
}

/** As `readEnrollment`, for whoever uses no network: without the network file, which a wrong clock lets expire. */
export async function readMembership(
  folder: string,
): Promise<Omit<Enrolled, 'networkFile'> | undefined> {
  let text: string
  try {
    text = await readFile(pathOf(folder), 'utf8')
  } catch (thrown) {
    if (codeOf(thrown) === 'ENOENT') return undefined
    throw thrown
  }
  const parsed = enrolledSchema.safeParse(parseJson(text))
  if (parsed.success) return parsed.data
  throw deviceError('enrolment-invalid', `${pathOf(folder)} is damaged`, {
    blame: 'local',
    fix: 'Remove it and enrol again with a new code; the key of the device stays.',
  })
}

/** Keeps a newer network file of the same operator; false when it is not newer. Throws `network-file-invalid`. */
export async function renewNetworkFile(
  folder: string,
  candidate: unknown,
  needs: { readonly clock: Clock },
): Promise<boolean> {
  const now = await readEnrollment(folder, needs)
  if (now === undefined) return false
  const { operator } = now.enrollment
  const { version } = verifyNetworkFile(candidate, { operator, clock: needs.clock })
  if (version <= now.networkFile.version) return false
  const { networkFile: _old, ...stored } = now
  const next = { ...stored, v: 1, enrollment: { ...now.enrollment, network: candidate } }
  await writeFileDurably(pathOf(folder), JSON.stringify(next), { mode: 0o600 })
  return true
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (thrown) {
    if (thrown instanceof SyntaxError) return undefined
    throw thrown
  }
}
