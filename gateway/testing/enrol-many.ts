import { hash } from 'node:crypto'
import { type Clock, type Random, toHex } from '@ioex/node/base'
import { EMPTY_CHAIN } from '@ioex/node/firmware'
import { openStore } from '../store/open.ts'
import { createTokens } from '../store/tokens.ts'

/**
 * A fleet as its enrolment leaves it in the database of a gateway, which may be running; their keys are made up, so
 * these devices can poll and do no more. Resolves to their tokens.
 */
export async function enrolMany(
  needs: { readonly clock: Clock; readonly random: Random },
  what: {
    readonly database: string
    readonly vendor: string
    readonly model: string
    readonly count: number
  },
): Promise<string[]> {
  const store = await openStore(what.database)
  try {
    const tokens = createTokens(needs, store.db)
    return await store.db.transaction().execute(async (transaction) => {
      const made: string[] = []
      for (let number = 0; number < what.count; number++) {
        const id = toHex(hash('sha256', `device ${number}`, 'buffer').subarray(0, 20))
        const { vendor, model } = what
        await transaction
          .insertInto('devices')
          .values({
            id,
            vendor,
            model,
            age_recipient: `age1${number}`,
            state: 'enrolled',
            reason: null,
            running_version: null,
            running_root: null,
            target: null,
            percent: null,
            enrolled_ms: needs.clock.nowMs(),
            seen_ms: null,
            grant_serial: 0,
            chain_seq: 0,
            chain_head: EMPTY_CHAIN.head,
          })
          .execute()
        const { token } = await tokens.create(
          { kind: 'device', vendor, device: id, name: `device ${id}` },
          transaction,
        )
        made.push(token)
      }
      return made
    })
  } finally {
    await store.close()
  }
}
