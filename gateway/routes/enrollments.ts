import { EMPTY_CHAIN } from '@ioex/node/firmware'
import { createRoute, z } from '@hono/zod-openapi'
import {
  ENROLLMENT_ALPHABET,
  ENROLLMENT_PURPOSE,
  EnrollmentCreatedSchema,
  EnrollmentCreateSchema,
  EnrollmentRedeemSchema,
  EnrollmentSchema,
  EvmAddressSchema,
  enrollmentMessage,
} from '@ioex/node/api'
import { fromHex, type Random } from '@ioex/node/base'
import { evmAddressOfPublicKey, recoverMessageSigner } from '@ioex/node/identity'
import type { Parts } from '../context.ts'
import { forVendor, vendorOf } from '../guards/bearer.ts'
import { ENROLLMENT_CODE_TTL_MS, ENROLLMENT_CODES_PER_VENDOR } from '../limits.ts'
import { ProblemError } from '../problems.ts'
import { firstRootOf } from '../publishing/tuf-repository.ts'
import { addDeviceEvent } from '../store/devices.ts'
import { hashOf } from '../store/tokens.ts'
import { timeOf } from '../store/times.ts'
import { createAppPart } from './app-part.ts'
import { answers, jsonBody } from './described.ts'

const create = createRoute({
  method: 'post',
  path: '/v1/enrollments',
  summary: 'Make a code with which devices enrol',
  ...forVendor('devices'),
  request: {
    query: z.object({ vendor: EvmAddressSchema.optional() }),
    body: jsonBody(EnrollmentCreateSchema),
  },
  responses: answers(201, EnrollmentCreatedSchema, 'the code, good for 15 minutes', [
    'tuf-root-missing',
    'too-many',
  ]),
})
const redeem = createRoute({
  method: 'post',
  path: '/v1/enrollments/redeem',
  summary: 'Enrol a device with a code',
  request: { body: jsonBody(EnrollmentRedeemSchema) },
  responses: answers(201, EnrollmentSchema, "the device's token and its roots of trust", [
    'code-refused',
    'proof-invalid',
    'device-of-another-vendor',
    'too-many-requests',
  ]),
})

const CODE_REFUSED = 'it was mistyped, used or older than 15 minutes'

export function enrollmentRoutes(parts: Parts) {
  const { db, clock, random, tokens, node, limiters } = parts
  return createAppPart()
    .openapi(create, async (c) => {
      const vendor = vendorOf(c, c.req.valid('query').vendor)
      const { model, count } = c.req.valid('json')
      await firstRootOf(db, vendor)
      const nowMs = clock.nowMs()
      await db.deleteFrom('enrollments').where('expires_ms', '<=', nowMs).execute()
      const { open } = await db
        .selectFrom('enrollments')
        .select((expression) => expression.fn.countAll<number>().as('open'))
        .where('vendor', '=', vendor)
        .executeTakeFirstOrThrow()
      if (Number(open) >= ENROLLMENT_CODES_PER_VENDOR) {
        throw new ProblemError('too-many', `${ENROLLMENT_CODES_PER_VENDOR} codes are open`, {
          fix: 'Use one code for several devices with "count", or wait until some expire.',
        })
      }
      const code = newCode(random)
      const expires_ms = nowMs + ENROLLMENT_CODE_TTL_MS
      await db
        .insertInto('enrollments')
        .values({ hash: hashOf(code), vendor, model, remaining: count, expires_ms })
        .execute()
      return c.json({ code, model, count, expiresAt: timeOf(expires_ms) }, 201)
    })
    .openapi(redeem, async (c) => {
      limiters.redeem.demand(c.get('source'))
      const claim = c.req.valid('json')
      const device = claimant(claim)
      const nowMs = clock.nowMs()
      const answer = await db.transaction().execute(async (transaction) => {
        const spent = await transaction
          .updateTable('enrollments')
          .set((expression) => ({ remaining: expression('remaining', '-', 1) }))
          .where('hash', '=', hashOf(claim.code))
          .where('expires_ms', '>', nowMs)
          .where('remaining', '>', 0)
          .returningAll()
          .executeTakeFirst()
        if (spent === undefined) {
          throw new ProblemError('code-refused', `the code ${claim.code} is not valid`, {
            fix: `Make a new one, ${CODE_REFUSED}.`,
          })
        }
        const { vendor, model } = spent
        const before = await transaction
          .selectFrom('devices')
          .select('vendor')
          .where('id', '=', device)
          .executeTakeFirst()
        if (before !== undefined && before.vendor !== vendor) {
          throw new ProblemError('device-of-another-vendor', 'the key is enrolled elsewhere', {
            fix: 'Make a new key on the device and enrol again.',
          })
        }
        const enrolled = {
          model,
          age_recipient: claim.ageRecipient,
          state: 'enrolled' as const,
          enrolled_ms: nowMs,
        }
        await transaction
          .insertInto('devices')
          .values({
            id: device,
            vendor,
            grant_serial: 0,
            chain_seq: 0,
            chain_head: EMPTY_CHAIN.head,
            ...enrolled,
          })
          .onConflict((conflict) => conflict.column('id').doUpdateSet(enrolled))
          .execute()
        // A device that enrols again has lost its token, or it was taken: the old one ends here.
        await transaction.deleteFrom('tokens').where('device', '=', device).execute()
        const { token } = await tokens.create(
          { kind: 'device', vendor, device, name: `device ${device}` },
          transaction,
        )
        await addDeviceEvent(transaction, {
          device,
          at_ms: nowMs,
          event: 'enrolled',
          release: null,
          detail: null,
          sha256: null,
          fetched_bytes: null,
          sources: '[]',
        })
        return { vendor: vendor as `0x${string}`, model, token }
      })
      return c.json(
        {
          device,
          ...answer,
          tufRoot: await firstRootOf(db, answer.vendor),
          network: node.networkFile,
          operator: node.operator,
        },
        201,
      )
    })
}

/** 8 letters of 32: 40 bits, for 15 minutes, behind a rate limit. */
function newCode(random: Random): string {
  const letter = () => ENROLLMENT_ALPHABET[random.int(ENROLLMENT_ALPHABET.length)] ?? ''
  const four = () => Array.from({ length: 4 }, letter).join('')
  return `${four()}-${four()}`
}

/** The address of the key that signed the claim. */
function claimant(claim: z.infer<typeof EnrollmentRedeemSchema>): `0x${string}` {
  const publicKey = fromHex(claim.publicKey) ?? new Uint8Array()
  const signature = fromHex(claim.signature) ?? new Uint8Array()
  const signer = recoverMessageSigner(ENROLLMENT_PURPOSE, enrollmentMessage(claim), signature)
  if (signer !== undefined && signer === addressOf(publicKey)) return signer
  throw new ProblemError('proof-invalid', 'the signature is not by the key that is named', {
    fix: 'Sign code, public key and age recipient with the key of the device.',
  })
}

function addressOf(publicKey: Uint8Array): `0x${string}` {
  try {
    return evmAddressOfPublicKey(publicKey)
  } catch (cause) {
    throw new ProblemError('proof-invalid', 'publicKey is no point of secp256k1', {
      fix: 'Send the compressed public key, 33 bytes.',
      cause,
    })
  }
}
