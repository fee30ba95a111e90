/** How many devices can one gateway hear? Devices check in at random, none waits for another. */
import { check } from 'k6'
import http from 'k6/http'
import { budgets, openModel, type Shape } from '../budgets.ts'
import { loadFixture } from './fixture.ts'

const fixture = loadFixture()
export const options = openModel(budgets.checkIn, __ENV.IOEX_LOAD_SHAPE as Shape)

export default function checkIn(): void {
  const token = fixture.deviceTokens[Math.floor(Math.random() * fixture.deviceTokens.length)]
  const answer = http.post(
    `${fixture.gateway}/v1/devices/me/check-in`,
    JSON.stringify({ running: { version: null, root: null } }),
    { headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' } },
  )
  check(answer, {
    'is told the release': (got) =>
      got.status === 200 && got.json('latest.root') === fixture.release,
  })
}
