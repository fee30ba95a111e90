import type { VendorCreateSchema } from '@ioex/node/api'
import { createTufSeed, createTufSigner } from '@ioex/node/firmware'
import { createIdentity, type EvmAddress, generateSeed } from '@ioex/node/identity'
import type { z } from 'zod'
import type { Parts } from '../context.ts'
import { ProblemError } from '../problems.ts'
import { createTufRepository } from '../publishing/tuf-repository.ts'
import type { KeyPurpose } from './vendor-keys.ts'

const CONTENT_SECRET_BYTES = 32

/**
 * Makes a vendor with its keys and first token, all in one transaction. Managed: everything is made here and
 * kept sealed. Own keys: only what the gateway signs with is made here, the root.json comes from the vendor.
 */
export async function createVendor(
  parts: Parts,
  what: z.infer<typeof VendorCreateSchema>,
): Promise<{ readonly vendor: EvmAddress; readonly token: string }> {
  const { db, keys, random, clock, tokens } = parts
  if (what.custody === 'own' && what.account === undefined) {
    throw new ProblemError('request-invalid', 'own custody needs the account', {
      fix: 'Send "account" with the address of the vendor account; ioex vendor create makes one.',
    })
  }
  const accountSeed = generateSeed(random)
  const vendor = what.account ?? createIdentity(accountSeed).evmAddress
  const voucherSeed = generateSeed(random)
  const onlineSeed = createTufSeed(random)
  const secrets: [KeyPurpose, Uint8Array][] = [
    ['voucher-signer', voucherSeed],
    ['tuf-online', onlineSeed],
  ]
  if (what.account === undefined) secrets.push(['account', accountSeed])
  if (what.custody === 'managed') {
    secrets.push(
      ['tuf-root', createTufSeed(random)],
      ['tuf-targets', createTufSeed(random)],
      ['content-secret', random.bytes(CONTENT_SECRET_BYTES)],
    )
  }
  return db.transaction().execute(async (transaction) => {
    const inserted = await transaction
      .insertInto('vendors')
      .values({
        id: vendor,
        name: what.name,
        custody: what.custody,
        created_ms: clock.nowMs(),
        voucher_signer: createIdentity(voucherSeed).evmAddress,
        online_tuf_key: createTufSigner(onlineSeed).publicKey,
      })
      .onConflict((conflict) => conflict.column('id').doNothing())
      .returning('id')
      .executeTakeFirst()
    if (inserted === undefined) {
      throw new ProblemError('vendor-exists', `the account ${vendor} is registered`, {
        fix: 'Use its tokens, or register another account.',
      })
    }
    for (const [purpose, secret] of secrets) await keys.put(transaction, vendor, purpose, secret)
    if (what.custody === 'managed') {
      await createTufRepository(parts).createManaged(vendor, transaction)
    }
    const { token } = await tokens.create(
      { kind: 'vendor', vendor, name: 'first token', scopes: ['admin'] },
      transaction,
    )
    return { vendor, token }
  })
}
