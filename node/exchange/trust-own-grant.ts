import {
  grantSigner,
  type LedgerDomain,
  type ServerBook,
  type SignedGrant,
} from '../receipts/index.ts'

/**
 * A device knows nobody's signers but the one of its own grant: whoever shows it a grant for the same root by the
 * same signer is let in. What that signer gave away wrongly is served wrongly, at its vendor's cost.
 */
export function trustOwnGrant(
  needs: { readonly serverBook: Pick<ServerBook, 'trust'>; readonly domain: LedgerDomain },
  grant: SignedGrant,
): void {
  const signer = grantSigner(needs.domain, grant)
  const { root, notAfter } = grant.message
  if (signer !== undefined) needs.serverBook.trust(root, [signer], notAfter)
}
