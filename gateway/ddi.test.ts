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
} from './testing/ddi-client.ts'
import { startGateway, type TestGateway, type TestVendor } from './testing/start-gateway.ts'

async function withGateway(
  run: (rig: TestGateway, acme: TestVendor) => Promise<void>,
  options: Parameters<typeof startGateway>[0] = {},
): Promise<void> {
  const rig = await startGateway(options)
  try {
    await rig.saySeeds()
    await run(rig, await rig.createVendor())
  } finally {
    await rig.remove()
  }
}

const shown = (rig: TestGateway, acme: TestVendor, client: DdiClient) =>
  rig.call<Device & { history: { event: string; detail: string | null }[] }>(
    'GET',
    `/v1/devices/${client.device}`,
    { expect: 200, token: acme.token },
  )

test('a client polls, loads the image, reports, and is confirmed, beside the chain of signed reports', () =>
  withGateway(async (rig, acme) => {
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
  withGateway(async (rig, acme) => {
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
  withGateway(async (rig, acme) => {
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
  withGateway(async (rig, acme) => {
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

test('parts of an image come one, several, or not at all, as RFC 7233 has it', () =>
  withGateway(async (rig, acme) => {
    const client = await admitDdi(rig, acme, 'one')
    const image = imageOf(400_000)
    await rig.publish(acme, image, '1.0.0')
    const { path } = await client.artifact()
    const size = image.byteLength
    const part = async (range: string, headers: Record<string, string> = {}) => {
      const answer = await client.ask(path, { headers: { range, ...headers } })
      const bytes = new Uint8Array(await answer.arrayBuffer())
      assert.equal(
        answer.headers.get('content-length') ?? String(bytes.byteLength),
        String(bytes.byteLength),
      )
      return { status: answer.status, bytes, headers: answer.headers }
    }
    const single: [string, number, number][] = [
      ['bytes=0-0', 0, 1],
      ['bytes=100000-', 100_000, size],
      ['bytes=-500', size - 500, size],
      ['bytes=70000-999999999', 70_000, size],
      ['bytes=131072-262143', 131_072, 262_144],
    ]
    for (const [range, from, to] of single) {
      const { status, bytes, headers } = await part(range)
      assert.equal(status, 206, range)
      assert.equal(headers.get('content-range'), `bytes ${from}-${to - 1}/${size}`)
      assert.deepEqual(bytes, image.subarray(from, to))
    }
    const several = await part('bytes=5-9, 300000-300099,-7')
    assert.equal(several.status, 206)
    const type = several.headers.get('content-type') ?? ''
    assert.match(type, /^multipart\/byteranges; boundary=\w+$/, 'SWUpdate takes it apart at blanks')
    const boundary = type.split('boundary=')[1] ?? ''
    const found = partsOf(several.bytes, boundary)
    assert.deepEqual(
      found.map(({ range }) => range),
      [`bytes 5-9/${size}`, `bytes 300000-300099/${size}`, `bytes ${size - 7}-${size - 1}/${size}`],
    )
    assert.deepEqual(
      found.map(({ bytes }) => bytes),
      [image.subarray(5, 10), image.subarray(300_000, 300_100), image.subarray(size - 7)],
    )
    for (const malformed of [
      'bytes=9-5',
      'bytes=a-b',
      'bytes=',
      'items=0-1',
      'bytes=1-2,x',
      'bytes=--1',
    ]) {
      const { status, bytes } = await part(malformed)
      assert.deepEqual([status, bytes.byteLength], [200, size], `${malformed} is ignored`)
    }
    for (const range of [
      `bytes=${size}-`,
      'bytes=-0',
      'bytes=0-,0-',
      `bytes=${'0-0,'.repeat(501)}`,
    ]) {
      const { status, headers } = await part(range)
      assert.deepEqual(
        [status, headers.get('content-range')],
        [416, `bytes */${size}`],
        range.slice(0, 40),
      )
    }
    const { headers } = await part('bytes=0-9')
    const etag = headers.get('etag') ?? ''
    assert.equal((await part('bytes=0-9', { 'if-range': etag })).status, 206)
    assert.equal((await part('bytes=0-9', { 'if-range': '"another image"' })).status, 200)
  }))

function partsOf(body: Uint8Array, boundary: string) {
  const text = Buffer.from(body).toString('latin1')
  return text
    .split(`--${boundary}`)
    .slice(1, -1)
    .map((piece) => {
      const [head = '', bytes = ''] = piece.split('\r\n\r\n')
      const [, range] = /content-range: (.+)/.exec(head) ?? []
      return { range, bytes: new Uint8Array(Buffer.from(bytes.slice(0, -2), 'latin1')) }
    })
}

test('1,200 range requests inside one action meet no quota, at the rates of a real gateway', () =>
  withGateway(
    async (rig, acme) => {
      const client = await admitDdi(rig, acme, 'one')
      const image = imageOf(500_000)
      await rig.publish(acme, image, '1.0.0')
      const { path } = await client.artifact()
      const counts = async () => {
        const events = await rig.store.db.selectFrom('device_events').select('id').execute()
        const actions = await rig.store.db.selectFrom('ddi_actions').select('id').execute()
        return [events.length, actions.length]
      }
      const before = await counts()
      for (let n = 0; n < 1_200; n++) {
        const from = (n * 7_919) % (image.byteLength - 256)
        const answer = await client.ask(path, { headers: { range: `bytes=${from}-${from + 255}` } })
        const bytes = new Uint8Array(await answer.arrayBuffer())
        assert.equal(answer.status, 206)
        assert.ok(Buffer.from(bytes).equals(image.subarray(from, from + 256)))
      }
      assert.deepEqual(await counts(), before, 'a transfer is no event')
      const { id } = await client.deployment()
      assert.equal(await client.feedback(id, 'closed', 'success'), 200)
    },
    { rateFactor: 1 },
  ))

test('an update that is taken back ends when the client agrees, and 410 is what its reports meet', () =>
  withGateway(async (rig, acme) => {
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

test('a person at the device is asked first, when the vendor wants it so', () =>
  withGateway(async (rig, acme) => {
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
  withGateway(async (rig, acme) => {
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
