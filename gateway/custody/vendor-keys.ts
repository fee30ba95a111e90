import { createIdentity, type Identity } from '@ioex/node/identity'
import type { Vault } from './vault.ts'
import type { Database } from '../store/open.ts'

/** What the gateway keeps for a vendor. The last three only when the vendor chose managed custody. */
export type KeyPurpose =
  | 'voucher-signer'
  | 'tuf-online'
  | 'account'
  | 'tuf-root'
  | 'tuf-targets'
  | 'content-secret'
  | `release-key/${string}`

/** Voucher signers that are kept open: one per vendor that is active now; each is a few hundred bytes. */
const MAX_OPEN_SIGNERS = 1_000

export interface VendorKeys {
  put(db: Database, vendor: string, purpose: KeyPurpose, secret: Uint8Array): Promise<void>
  /** Undefined when there is none. */
  get(vendor: string, purpose: KeyPurpose, from?: Database): Promise<Uint8Array | undefined>
  /** Signs grants, pin orders and epoch roots. */
  voucherSigner(vendor: string): Promise<Identity>
}

export function createVendorKeys(needs: {
  readonly vault: Vault
  readonly db: Database
}): VendorKeys {
  const signers = new Map<string, Identity>()
  const keys: VendorKeys = {
    async put(db, vendor, purpose, secret) {
      const sealed = needs.vault.seal(vendor, purpose, secret)
      await db.insertInto('secrets').values({ vendor, purpose, sealed }).execute()
    },
    async get(vendor, purpose, from = needs.db) {
      const row = await from
        .selectFrom('secrets')
        .select('sealed')
        .where('vendor', '=', vendor)
        .where('purpose', '=', purpose)
        .executeTakeFirst()
      return row === undefined ? undefined : needs.vault.unseal(vendor, purpose, row.sealed)
    },
    async voucherSigner(vendor) {
      const open = signers.get(vendor)
      if (open !== undefined) return open
      const seed = await keys.get(vendor, 'voucher-signer')
      if (seed === undefined) throw new Error(`vendor ${vendor} has no voucher signer`)
      if (signers.size >= MAX_OPEN_SIGNERS) signers.clear()
      const signer = createIdentity(seed)
      signers.set(vendor, signer)
      return signer
    },
  }
  return keys
}
