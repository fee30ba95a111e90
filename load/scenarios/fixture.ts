/** What the rig has prepared: k6 has no secp256k1, so everything that is signed comes from there. */
export interface Fixture {
  readonly gateway: string
  readonly vendor: string
  readonly vendorToken: string
  readonly deviceTokens: readonly string[]
  readonly release: string
  readonly model: string
  /** Ready bodies for POST /v1/receipts, each receipt in one batch only. */
  readonly receiptBatches: readonly string[]
}

export function loadFixture(): Fixture {
  return JSON.parse(open(__ENV.IOEX_LOAD_FIXTURE ?? '')) as Fixture
}
