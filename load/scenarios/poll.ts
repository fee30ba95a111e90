/** How many devices can one gateway hear? Each asks with its own token and at its own time, none waits for another. */
import { check } from 'k6'
import exec from 'k6/execution'
import http from 'k6/http'
import { budgets, openModel, type Shape } from '../budgets.ts'
import { loadFixture } from './fixture.ts'

const fixture = loadFixture()
const isFleet = __ENV.IOEX_LOAD_FLEET === 'yes'
export const options = {
  ...openModel(isFleet ? budgets.fleet : budgets.poll, __ENV.IOEX_LOAD_SHAPE as Shape),
  // Devices do not keep a connection open from one minute to the next.
  noConnectionReuse: isFleet,
}

export default function poll(): void {
  const { deviceTokens, gateway, release } = fixture
  const token = deviceTokens[exec.scenario.iterationInTest % deviceTokens.length]
  const answer = http.get(`${gateway}/v1/devices/me/poll?version=1.0.0`, {
    headers: { authorization: `Bearer ${token}` },
  })
  check(answer, {
    'is told the release': (got) => got.status === 200 && got.json('latest.root') === release,
  })
}
