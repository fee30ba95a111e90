import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import type { PollAnswer } from '@ioex/node/api'
import { systemClock } from '@ioex/node/base'
import { listen } from '../listen.ts'
import { startGateway } from '../testing/start-gateway.ts'
import { REMOVALS_CHECKED_EVERY_MS } from './limits.ts'

test('over the wire a device that polls again and again hears what is new, until it is taken off', async () => {
  const rig = await startGateway()
  const where = { host: '127.0.0.1', port: 0 }
  const listener = await listen({ clock: systemClock }, rig.gateway, where)
  try {
    const acme = await rig.createVendor()
    await rig.saySeeds()
    const device = await rig.enroll(acme)
    const authorization = `Bearer ${device.enrollment.token}`
    const poll = async (query: string) => {
      const answer = await fetch(`${listener.url}/v1/devices/me/poll${query}`, {
        headers: { authorization },
      })
      return { status: answer.status, body: (await answer.json()) as PollAnswer }
    }
    for (let times = 0; times < 20; times++) {
      const { status, body } = await poll('?version=1.0.0')
      assert.deepEqual([status, body.latest], [200, null])
    }
    assert.equal((await poll('?root=junk')).status, 400)
    const { id } = await rig.publish(acme, randomBytes(1_000), '2.0.0')
    let heard: PollAnswer['latest'] = null
    for (let times = 0; times < 200 && heard === null; times++) {
      heard = (await poll('?version=1.0.0')).body.latest
      if (heard === null) await systemClock.sleep(20)
    }
    assert.equal(heard?.root, id)
    const path = `/v1/devices/${device.identity.evmAddress}`
    await rig.call('DELETE', path, { expect: 200, token: acme.token })
    await systemClock.sleep(REMOVALS_CHECKED_EVERY_MS)
    assert.equal((await poll('?version=1.0.0')).status, 401)
  } finally {
    await listener.stop()
    await rig.remove()
  }
})
