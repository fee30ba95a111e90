/**
 * What counts as fast enough, the only place with such numbers. Each is for the reference machine (2 cores)
 * that runs the whole network, the load and the browser beside it; k6 fails when one does not hold.
 */
export const budgets = {
  /** Beside everything else that the machine runs. */
  poll: { ratePerSecond: 50, p95Ms: 100, p99Ms: 250, maxErrorShare: 0.001 },
  /** 50,000 devices that poll once a minute, each over a new connection; one core of a gateway has to carry that. */
  fleet: { ratePerSecond: 833, p95Ms: 50, p99Ms: 50, maxErrorShare: 0 },
  /** Asked once per device and release. */
  addressList: { ratePerSecond: 50, p95Ms: 100, p99Ms: 250, maxErrorShare: 0.001 },
  /** Batches of 20 receipts: 100 receipts a second, each one two signatures to verify and a durable row. */
  receipts: { ratePerSecond: 5, p95Ms: 250, p99Ms: 500, maxErrorShare: 0.001 },
  /** 1 MiB of firmware: received, packed, signed and stored on every seed before the answer. */
  publish: { uploads: 3, p95Ms: 15_000, maxErrorShare: 0.001 },
} as const

/** How long each scenario runs. */
export const shapes = {
  glance: { seconds: 5, rateFactor: 0.25 },
  smoke: { seconds: 10, rateFactor: 1 },
  minute: { seconds: 60, rateFactor: 1 },
  steady: { seconds: 300, rateFactor: 1 },
  spike: { seconds: 30, rateFactor: 4 },
  soak: { seconds: 3_600, rateFactor: 0.5 },
} as const

export type Shape = keyof typeof shapes

/** The options of an open-model scenario: arrivals do not wait for answers, as devices do not. */
export function openModel(
  budget: { ratePerSecond: number; p95Ms: number; p99Ms: number; maxErrorShare: number },
  shape: Shape,
) {
  const { seconds, rateFactor } = shapes[shape]
  const rate = Math.max(1, Math.round(budget.ratePerSecond * rateFactor))
  return {
    scenarios: {
      load: {
        executor: 'constant-arrival-rate' as const,
        rate,
        timeUnit: '1s',
        duration: `${seconds}s`,
        preAllocatedVUs: Math.min(200, rate),
        maxVUs: Math.min(1_000, rate * 4),
      },
    },
    thresholds: {
      http_req_failed: [`rate<=${budget.maxErrorShare}`],
      http_req_duration: [`p(95)<${budget.p95Ms}`, `p(99)<${budget.p99Ms}`],
      checks: [`rate>=${1 - budget.maxErrorShare}`],
      // An arrival that found no free worker is load that was not applied.
      dropped_iterations: ['count==0'],
    },
  }
}
