/** hawkBit's DDI as clients see it, through the door of the gateway. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import type { Device, Release } from '@ioex/node/api'
import {
  admitDdi,
  type DdiClient,
  type DdiDeployment,
  type DdiRoot,
  imageOf,
  withDdiGateway,
} from './testing/ddi-client.ts'
import type { TestGateway, TestVendor } from './testing/start-gateway.ts'

const shown = (rig: TestGateway, acme: TestVendor, client: DdiClient) =>
  rig.call<Device & { history: { event: string; detail: string | null }[] }>(
    'GET',
    `/v1/devices/${client.device}`,
    { expect: 200, token: acme.token },
  )

test('a client polls, loads the image, reports, and is confirmed, beside the chain of signed reports', () =>
  withDdiGateway(async (rig, acme) => {
    const client = await admitDdi(rig, acme, 'pump-0042')
    const idle = await client.get<DdiRoot>('')
    assert.equal(idle.config.polling.sleep, '00:05:00')
    assert.deepEqual(Object.keys(idle._links), ['configData'])
    assert.equal(await client.say('/configData', { mode: 'merge', data: { hw: '2' } }), 200)
    assert.deepEqual((await client.get<DdiRoot>(''))._links, {})
    const image = imageOf(300_000)
    const release = await rig.publish(acme, image, '1.0.0')

    const { id, deployment } = await client.deployment()
    assert.match(id, /^[1-9]\d*$/, 'SWUpdate reads it as a whole number')
    assert.deepEqual([deployment.download, deployment.update], ['forced', 'forced'])
    const [chunk, ...chunks] = deployment.chunks
    const [artifact, ...artifacts] = chunk?.artifacts ?? []
    assert.ok(chunk && artifact)
    assert.deepEqual([chunks.length, artifacts.length], [0, 0], 'rauc-hawkbit-updater takes one')
    const hashOf = (name: string) => createHash(name).update(image).digest('hex')
    assert.deepEqual(
      [chunk.version, artifact.filename, artifact.size, artifact.hashes],
      [
        '1.0.0',
        'pump-1.0.0.swu',
        image.byteLength,
        { sha1: hashOf('sha1'), md5: hashOf('md5'), sha256: hashOf('sha256') },
      ],
    )
    const link = artifact._links['download-http']?.href ?? ''
    const loaded = await client.ask(link)
    assert.equal(loaded.headers.get('content-length'), String(image.byteLength))
    assert.deepEqual(new Uint8Array(await loaded.arrayBuffer()), image)
    const md5 = await client.ask(`${link}.MD5SUM`)
    assert.equal(await md5.text(), `${hashOf('md5')}  pump-1.0.0.swu`)

    assert.equal(await client.feedback(id, 'download'), 200)
    assert.equal((await shown(rig, acme, client)).state, 'downloading')
    assert.equal(await client.feedback(id, 'proceeding'), 200)
    assert.ok((await client.get<DdiRoot>(''))._links['deploymentBase'], 'until it is closed')
    assert.equal(await client.feedback(id, 'closed', 'success'), 200)
    assert.equal(await client.feedback(id, 'closed', 'success'), 410, 'it has ended')
    const after = (await client.get<DdiRoot>(''))._links
    assert.deepEqual(Object.keys(after), ['installedBase'])
    const installed = await client.get<DdiDeployment>(`/installedBase/${id}?actionHistory=-1`)
    assert.equal(installed.actionHistory?.status, 'FINISHED')
    assert.ok(installed.actionHistory.messages.includes('said by the client'))

    const { protocol, state, running, history } = await shown(rig, acme, client)
    assert.deepEqual([protocol, state, running.root], ['ddi', 'confirmed', release.id])
    const events = history.map(({ event }) => event)
    assert.deepEqual(events, ['confirmed', 'downloading', 'offered', 'enrolled'])
    const { devices } = await rig.call<Release>('GET', `/v1/releases/${release.id}`, {
      expect: 200,
      token: acme.token,
    })
    assert.equal(devices.confirmed, 1)
    const signed = await rig.store.db.selectFrom('device_reports').selectAll().execute()
    assert.deepEqual(signed, [], 'nothing that a device has not signed')
  }))

test('only a token of this device, of this vendor, in the form that DDI knows, is let in', () =>
  withDdiGateway(async (rig, acme) => {
    const client = await admitDdi(rig, acme, 'one')
    const other = await admitDdi(rig, acme, 'two')
    const stranger = await rig.createVendor()
    const theirs = await admitDdi(rig, stranger, 'one')
    await rig.publish(acme, imageOf(10_000), '1.0.0')
    const { path } = await client.artifact()
    const status = async (where: string, authorization?: string) => {
      const answer = await rig.request(
        where,
        authorization === undefined ? {} : { headers: { authorization } },
      )
      await answer.text()
      return answer.status
    }
    const file = new URL(path).pathname
    for (const where of [client.path, file]) {
      assert.equal(await status(where), 401)
      assert.equal(await status(where, `TargetToken ${'x'.repeat(32)}`), 401)
      assert.equal(await status(where, `TargetToken ${other.token}`), 401, 'of another device')
      assert.equal(await status(where, `TargetToken ${theirs.token}`), 401, 'of another vendor')
      assert.equal(await status(where, `GatewayToken ${client.token}`), 401, 'of another kind')
      assert.equal(await status(where, `Bearer ${acme.token}`), 401)
      assert.equal(await status(where, `TargetToken ${client.token}`), 200)
    }
    assert.equal(
      await other.ask('/deploymentBase/1').then(({ status: code }) => code),
      404,
      'an action of another device',
    )
    assert.equal(
      (await theirs.ask(file.slice(client.path.length))).status,
      404,
      "another vendor's image",
    )
    const again = await admitDdi(rig, acme, 'one')
    assert.equal(
      await status(client.path, `TargetToken ${client.token}`),
      401,
      'a new token ends the old one',
    )
    const gone = { expect: 200, token: acme.token }
    await rig.call('DELETE', `/v1/devices/${again.device}`, gone)
    assert.equal((await again.ask('')).status, 401)
    // Vendors who keep their keys themselves have no plain images here.
    await rig.store.db
      .updateTable('vendors')
      .set({ custody: 'own' })
      .where('id', '=', stranger.vendor)
      .execute()
    await rig.call('POST', `/v1/vendors/${stranger.vendor}/ddi/devices`, {
      expect: 409,
      token: stranger.token,
      json: { controllerId: 'three', model: 'pump' },
    })
  }))

test('devices of a site make themselves known with a GatewayToken, as many as it is for', () =>
  withDdiGateway(async (rig, acme) => {
    const { id, token } = await rig.call<{ id: string; token: string }>(
      'POST',
      `/v1/vendors/${acme.vendor}/ddi/gateway-tokens`,
      { expect: 201, token: acme.token, json: { name: 'line 1', model: 'pump', count: 2 } },
    )
    const poll = async (controller: string) => {
      const headers = { authorization: `GatewayToken ${token}` }
      const answer = await rig.request(`/ddi/${acme.vendor}/controller/v1/${controller}`, {
        headers,
      })
      await answer.text()
      return answer.status
    }
    assert.deepEqual([await poll('a'), await poll('b'), await poll('c')], [200, 200, 401])
    assert.equal(await poll('a'), 200, 'it is known by now')
    const page = await rig.call<{ items: { controllerId: string }[] }>(
      'GET',
      `/v1/vendors/${acme.vendor}/ddi/devices`,
      { expect: 200, token: acme.token },
    )
    assert.deepEqual(
      page.items.map(({ controllerId }) => controllerId),
      ['a', 'b'],
    )
    await rig.call('DELETE', `/v1/vendors/${acme.vendor}/ddi/tokens/${id}`, {
      expect: 200,
      token: acme.token,
    })
    assert.equal(await poll('a'), 401)
  }))

test('what a client has already is not sent again', () =>
  withDdiGateway(async (rig, acme) => {
    const client = await admitDdi(rig, acme, 'one')
    await client.say('/configData', { data: {} })
    const idle = await client.ask('')
    const etag = idle.headers.get('etag') ?? ''
    await idle.text()
    const same = await client.ask('', { headers: { 'if-none-match': etag } })
    assert.deepEqual([same.status, await same.text(), same.headers.get('etag')], [304, '', etag])
    await rig.publish(acme, imageOf(10_000), '1.0.0')
    const changed = await client.ask('', { headers: { 'if-none-match': etag } })
    assert.equal(changed.status, 200)
    const { _links } = (await changed.json()) as DdiRoot
    const link = _links['deploymentBase']?.href ?? ''
    const first = await client.ask(link)
    await first.text()
    const weak = `"other", W/${first.headers.get('etag') ?? ''}`
    assert.equal((await client.ask(link, { headers: { 'if-none-match': weak } })).status, 304)
    const { path } = await client.artifact()
    const file = await client.ask(path, { method: 'HEAD' })
    const tag = file.headers.get('etag') ?? ''
    assert.equal((await client.ask(path, { headers: { 'if-none-match': tag } })).status, 304)
    assert.equal((await client.ask(path, { headers: { 'if-match': '"another"' } })).status, 412)
  }))

test('an update that is taken back ends when the client agrees, and 410 is what its reports meet', () =>
  withDdiGateway(async (rig, acme) => {
    const client = await admitDdi(rig, acme, 'one')
    await rig.publish(acme, imageOf(10_000), '1.0.0')
    const { id } = await client.deployment()
    const { path } = await client.artifact()
    const cancel = (expect: number) =>
      rig.call('POST', `/v1/vendors/${acme.vendor}/ddi/devices/one/cancel`, {
        expect,
        token: acme.token,
      })
    await cancel(200)
    const { _links } = await client.get<DdiRoot>('')
    assert.equal(_links['deploymentBase'], undefined)
    const word = await client.get<unknown>(_links['cancelAction']?.href ?? '')
    assert.deepEqual(word, { id, cancelAction: { stopId: id } })
    assert.equal((await client.ask(`/deploymentBase/${id}`)).status, 404)
    assert.equal(
      await client.say(`/cancelAction/${id}/feedback`, { status: { execution: 'rejected' } }),
      200,
    )
    assert.ok(
      (await client.get<DdiRoot>(''))._links['deploymentBase'],
      'it could not stop any more',
    )
    await cancel(200)
    const closed = { status: { execution: 'closed', result: { finished: 'success' } } }
    assert.equal(await client.say(`/cancelAction/${id}/feedback`, closed), 200)
    assert.equal(await client.feedback(id, 'closed', 'success'), 410)
    assert.equal((await client.ask(path)).status, 404, 'its image is no longer there')
    assert.equal(
      (await client.get<DdiRoot>(''))._links['deploymentBase'],
      undefined,
      'it is not offered again',
    )
    await cancel(404)
    await rig.publish(acme, imageOf(10_000), '1.1.0')
    assert.equal((await client.deployment()).deployment.chunks[0]?.version, '1.1.0')
    const newer = await rig.publish(acme, imageOf(10_000), '1.2.0')
    const stop = (await client.get<DdiRoot>(''))._links['cancelAction']?.href ?? ''
    assert.equal(
      await client.say(`${new URL(stop).pathname.slice(client.path.length)}/feedback`, closed),
      200,
    )
    assert.equal(
      (await client.deployment()).deployment.chunks[0]?.version,
      '1.2.0',
      'the newest takes its place',
    )
    await rig.call('POST', `/v1/releases/${newer.id}/withdraw`, { expect: 200, token: acme.token })
    assert.ok((await client.get<DdiRoot>(''))._links['cancelAction'], 'withdrawn')
  }))

test('a client that is at an update ends it before it hears of a newer one, unless it is withdrawn', () =>
  withDdiGateway(async (rig, acme) => {
    const client = await admitDdi(rig, acme, 'one')
    await rig.publish(acme, imageOf(10_000), '1.0.0')
    const first = await client.deployment()
    assert.equal(await client.feedback(first.id, 'proceeding'), 200)
    const second = await rig.publish(acme, imageOf(10_000), '1.1.0')
    assert.equal((await client.deployment()).id, first.id)
    assert.equal(await client.feedback(first.id, 'closed', 'success'), 200)
    const next = await client.deployment()
    assert.equal(next.deployment.chunks[0]?.version, '1.1.0')
    assert.equal(await client.feedback(next.id, 'proceeding'), 200)
    await rig.call('POST', `/v1/releases/${second.id}/withdraw`, { expect: 200, token: acme.token })
    assert.ok((await client.get<DdiRoot>(''))._links['cancelAction'])
  }))

test('a person at the device is asked first, when the vendor wants it so', () =>
  withDdiGateway(async (rig, acme) => {
    const client = await admitDdi(rig, acme, 'one', { confirm: true })
    await rig.publish(acme, imageOf(10_000), '1.0.0')
    const { _links } = await client.get<DdiRoot>('')
    assert.equal(_links['deploymentBase'], undefined)
    const { id } = await client.get<{ id: string }>(_links['confirmationBase']?.href ?? '')
    assert.equal((await client.ask(`/deploymentBase/${id}`)).status, 404)
    const answer = (confirmation: string) =>
      client.say(`/confirmationBase/${id}/feedback`, { confirmation, details: [] })
    assert.equal(await answer('denied'), 200)
    assert.ok((await client.get<DdiRoot>(''))._links['confirmationBase'], 'the question stays open')
    assert.equal(await answer('confirmed'), 200)
    assert.equal((await client.deployment()).id, id)
    assert.equal(await client.feedback(id, 'closed', 'success'), 200)
    assert.equal(
      await client.say('/confirmationBase/activateAutoConfirm', { initiator: 'owner' }),
      200,
    )
    const standing = await client.get<{ autoConfirm: { active: boolean } }>('/confirmationBase')
    assert.equal(standing.autoConfirm.active, true)
    await rig.publish(acme, imageOf(10_000), '1.1.0')
    assert.equal((await client.deployment()).deployment.chunks[0]?.version, '1.1.0')
  }))

test('what a client sends is bounded and checked, and what is not there is said so', () =>
  withDdiGateway(async (rig, acme) => {
    const client = await admitDdi(rig, acme, 'one')
    await rig.publish(acme, imageOf(10_000), '1.0.0')
    const { id } = await client.deployment()
    const progress = { finished: 'none', progress: { cnt: 2, of: 5 } }
    const status = { execution: 'proceeding', result: progress }
    assert.equal(await client.say(`/deploymentBase/${id}/feedback`, { status }), 200)
    assert.equal((await shown(rig, acme, client)).percent, 40)
    const bad = async (path: string, body: string) => {
      const method = path === '/configData' ? 'PUT' : 'POST'
      const { status } = await client.ask(path, { method, body })
      return status
    }
    assert.equal(await bad(`/deploymentBase/${id}/feedback`, '{'), 400)
    assert.equal(
      await bad(`/deploymentBase/${id}/feedback`, '{"status":{"execution":"exploded"}}'),
      400,
    )
    assert.equal(await bad(`/deploymentBase/${id}/feedback`, `"${'x'.repeat(70_000)}"`), 413)
    const many = Object.fromEntries(Array.from({ length: 501 }, (_, n) => [`a${n}`, '1']))
    assert.equal(await bad('/configData', JSON.stringify({ data: many })), 400)
    assert.equal(await bad('/configData', JSON.stringify({ data: { name: 'v'.repeat(129) } })), 400)
    assert.equal((await client.ask('/deploymentBase/2147483648')).status, 404)
    assert.equal((await client.ask('/deploymentBase/1/2/3')).status, 404)
    assert.equal((await client.ask('/%E0%A4%A')).status, 404)
    const wrong = await client.ask('', { method: 'POST' })
    assert.deepEqual([wrong.status, wrong.headers.get('allow')], [405, 'GET, HEAD'])
    const problem = (await wrong.json()) as { code: string }
    assert.equal(problem.code, 'ddi-method-not-allowed')
  }))
