/** How long does a vendor wait from the upload to a release that devices can fetch from every seed? */
import { check } from 'k6'
import crypto from 'k6/crypto'
import exec from 'k6/execution'
import http from 'k6/http'
import { budgets } from '../budgets.ts'
import { loadFixture } from './fixture.ts'

const fixture = loadFixture()
export const options = {
  scenarios: {
    load: {
      executor: 'per-vu-iterations' as const,
      vus: 1,
      iterations: budgets.publish.uploads,
      maxDuration: '5m',
    },
  },
  thresholds: {
    http_req_failed: [`rate<=${budgets.publish.maxErrorShare}`],
    http_req_duration: [`p(95)<${budgets.publish.p95Ms}`],
    checks: [`rate>=${1 - budgets.publish.maxErrorShare}`],
  },
}

export default function publish(): void {
  const version = `0.${Date.now()}.${exec.scenario.iterationInTest}`
  const answer = http.post(
    `${fixture.gateway}/v1/vendors/${fixture.vendor}/releases?model=load-publish&version=${version}`,
    crypto.randomBytes(1024 * 1024),
    {
      headers: {
        authorization: `Bearer ${fixture.vendorToken}`,
        'content-type': 'application/octet-stream',
      },
      timeout: '120s',
    },
  )
  check(answer, {
    'is published': (got) => got.status === 201 && got.json('state') === 'published',
  })
}
