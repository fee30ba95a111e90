import { hash } from 'node:crypto'
import { type Clock, type Random } from '@ioex/node/base'
import type { Scope } from '@ioex/node/api'
import { TOKEN_USED_EVERY_MS } from '../limits.ts'
import type { Database } from './open.ts'
import type { TokenRow } from './tables.ts'

const TOKEN_BYTES = 32
const LETTER = { operator: 'o', bridge: 'b', vendor: 'v', device: 'd' } as const

export interface Bearer {
  readonly id: string
  readonly kind: TokenRow['kind']
  readonly vendor: `0x${string}` | undefined
  readonly device: `0x${string}` | undefined
  readonly scopes: readonly Scope[]
}

interface NewToken {
  readonly kind: TokenRow['kind']
  readonly name: string
  readonly vendor?: string
  readonly device?: string
  readonly scopes?: readonly Scope[]
  readonly expiresMs?: number
}

/**
 * Tokens are 32 random bytes behind a prefix that says what they are. Only their sha-256 is stored: whoever
 * reads the database cannot use them. The look-up is by that digest, so its timing tells nothing of a token.
 */
export interface Tokens {
  create(
    token: NewToken,
    db?: Database,
  ): Promise<{ readonly row: TokenRow; readonly token: string }>
  /** Makes sure that this very token is valid: for the operator's and the bridge's token files. */
  register(token: string, what: Pick<NewToken, 'kind' | 'name'>): Promise<void>
  find(token: string): Promise<Bearer | undefined>
  list(vendor: string): Promise<TokenRow[]>
  revoke(vendor: string, id: string): Promise<boolean>
}

export function createTokens(
  needs: { readonly clock: Clock; readonly random: Random },
  db: Database,
): Tokens {
  const insert = async (what: NewToken, token: string, into: Database): Promise<TokenRow> => {
    const row: TokenRow = {
      id: Buffer.from(needs.random.bytes(8)).toString('hex'),
      kind: what.kind,
      vendor: what.vendor ?? null,
      device: what.device ?? null,
      name: what.name,
      scopes: (what.scopes ?? []).join(' '),
      hash: hashOf(token),
      created_ms: needs.clock.nowMs(),
      expires_ms: what.expiresMs ?? null,
      used_ms: null,
    }
    await into.insertInto('tokens').values(row).execute()
    return row
  }
  return {
    async create(what, into = db) {
      const secret = Buffer.from(needs.random.bytes(TOKEN_BYTES)).toString('base64url')
      const token = `iox_${LETTER[what.kind]}_${secret}`
      return { row: await insert(what, token, into), token }
    },
    async register(token, what) {
      await db.transaction().execute(async (transaction) => {
        await transaction.deleteFrom('tokens').where('kind', '=', what.kind).execute()
        await insert(what, token, transaction)
      })
    },
    async find(token) {
      const row = await db
        .selectFrom('tokens')
        .selectAll()
        .where('hash', '=', hashOf(token))
        .executeTakeFirst()
      const nowMs = needs.clock.nowMs()
      if (row === undefined || (row.expires_ms !== null && row.expires_ms <= nowMs))
        return undefined
      // When a device was last seen stands in its own row.
      const isOld = row.used_ms === null || row.used_ms + TOKEN_USED_EVERY_MS <= nowMs
      if (isOld && row.kind !== 'device') {
        await db.updateTable('tokens').set({ used_ms: nowMs }).where('id', '=', row.id).execute()
      }
      return {
        id: row.id,
        kind: row.kind,
        vendor: (row.vendor ?? undefined) as Bearer['vendor'],
        device: (row.device ?? undefined) as Bearer['device'],
        scopes: row.scopes === '' ? [] : (row.scopes.split(' ') as Scope[]),
      }
    },
    list: (vendor) =>
      db
        .selectFrom('tokens')
        .selectAll()
        .where('vendor', '=', vendor)
        .where('kind', '=', 'vendor')
        .orderBy('created_ms')
        .orderBy('id')
        .execute(),
    async revoke(vendor, id) {
      const result = await db
        .deleteFrom('tokens')
        .where('vendor', '=', vendor)
        .where('kind', '=', 'vendor')
        .where('id', '=', id)
        .executeTakeFirst()
      return result.numDeletedRows > 0n
    },
  }
}

export function hashOf(secret: string): string {
  return hash('sha256', secret, 'hex')
}

/** The row of `counters` that rises when a device's token ends: gateways remember whom they found valid. */
export const REMOVED_TOKENS = 'removed-tokens'

export async function removeTokens(db: Database, device: string): Promise<void> {
  const { numDeletedRows } = await db
    .deleteFrom('tokens')
    .where('device', '=', device)
    .executeTakeFirst()
  if (numDeletedRows === 0n) return
  await db
    .updateTable('counters')
    .set((expression) => ({ value: expression('value', '+', 1) }))
    .where('name', '=', REMOVED_TOKENS)
    .execute()
}
