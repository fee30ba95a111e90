/** When a release is announced every device asks for the addresses of its copies: how fast do they get them? */
import { check } from 'k6'
import http from 'k6/http'
import { budgets, openModel, type Shape } from '../budgets.ts'
import { loadFixture } from './fixture.ts'

const fixture = loadFixture()
export const options = openModel(budgets.addressList, __ENV.IOEX_LOAD_SHAPE as Shape)

export default function addressList(): void {
  const token = fixture.deviceTokens[Math.floor(Math.random() * fixture.deviceTokens.length)]
  const answer = http.get(`${fixture.gateway}/v1/releases/${fixture.release}/addresses`, {
    headers: { authorization: `Bearer ${token}` },
    tags: { name: 'addresses' },
  })
  check(answer, {
    'names at least one copy': (got) => got.status === 200 && Number(got.json('entries.#')) > 0,
  })
}
