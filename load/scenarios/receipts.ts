/** Seeds hand in what devices have signed: does the gateway keep up, with every signature checked? */
import { check } from 'k6'
import exec from 'k6/execution'
import http from 'k6/http'
import { budgets, openModel, type Shape } from '../budgets.ts'
import { loadFixture } from './fixture.ts'

const fixture = loadFixture()
export const options = openModel(budgets.receipts, __ENV.IOEX_LOAD_SHAPE as Shape)

export default function receipts(): void {
  const batch =
    fixture.receiptBatches[exec.scenario.iterationInTest % fixture.receiptBatches.length]
  const answer = http.post(`${fixture.gateway}/v1/receipts`, batch ?? '', {
    headers: { 'content-type': 'application/json' },
  })
  check(answer, {
    'refuses none': (got) => got.status === 200 && Number(got.json('refused.#')) === 0,
  })
}
