import { SharedArray } from 'k6/data'

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

/** One copy for all workers: a fleet has 50,000 tokens. */
export function loadFixture(): Fixture {
  const [fixture] = new SharedArray<Omit<Fixture, 'deviceTokens'>>('fixture', () => {
    const { deviceTokens: _, ...rest } = readFixture()
    return [rest]
  })
  if (fixture === undefined) throw new Error('the fixture is empty')
  const deviceTokens = new SharedArray('device tokens', () => [...readFixture().deviceTokens])
  return { ...fixture, deviceTokens }
}

function readFixture(): Fixture {
  return JSON.parse(open(__ENV.IOEX_LOAD_FIXTURE ?? '')) as Fixture
}
