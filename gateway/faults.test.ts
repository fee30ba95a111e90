import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { request as httpRequest } from 'node:http'
import { afterEach, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { ENROLLMENT_ALPHABET } from '@ioex/node/api'
import { systemClock } from '@ioex/node/base'
import { listen } from './listen.ts'
import { startGateway, type TestGateway, type TestVendor } from './testing/start-gateway.ts'

const MIB = 1024 * 1024
let rig: TestGateway | undefined
afterEach(async () => {
  await rig?.remove()
  rig = undefined
})

async function begin(options: Parameters<typeof startGateway>[0] = {}) {
  rig = await startGateway(options)
  await rig.saySeeds()
  return { rig, acme: await rig.createVendor() }
}

/** Releases, uploads, keys of releases, pins, and blocks after a collection. */
async function traces({ store, storage }: TestGateway) {
  const count = async (table: 'releases' | 'uploads' | 'wraps' | 'copies') =>
    (await store.db.selectFrom(table).selectAll().execute()).length
  const keys = await store.db
    .selectFrom('secrets')
    .select('purpose')
    .where('purpose', 'like', 'release-key/%')
    .execute()
  const { liveBlocks } = await storage.collectGarbage()
  return {
    releases: await count('releases'),
    uploads: await count('uploads'),
    wraps: await count('wraps'),
    copies: await count('copies'),
    keys: keys.length,
    pins: (await Array.fromAsync(storage.pins.list())).length,
    liveBlocks,
  }
}

const NOTHING = {
  releases: 0,
  uploads: 0,
  wraps: 0,
  copies: 0,
  keys: 0,
  pins: 0,
  liveBlocks: 0,
}

function codeIs(code: string) {
  return (error: unknown) => error instanceof Error && error.message.includes(`"code":"${code}"`)
}

function upload(rig: TestGateway, { vendor, token }: TestVendor, body: BodyInit, expect: number) {
  return rig.call('POST', `/v1/vendors/${vendor}/releases?model=pump&version=1`, {
    expect,
    token,
    body,
  })
}

describe('what breaks off or is not right leaves nothing behind', () => {
  test('a sender that is cut off in the middle of an image', async () => {
    const { rig, acme } = await begin()
    const listener = await listen({ clock: systemClock }, rig.gateway, {
      host: '127.0.0.1',
      port: 0,
    })
    try {
      const sending = httpRequest(
        `${listener.url}/v1/vendors/${acme.vendor}/releases?model=pump&version=1`,
        {
          method: 'POST',
          headers: { authorization: `Bearer ${acme.token}`, 'content-length': 32 * MIB },
        },
      )
      const lost = once(sending, 'error')
      sending.write(randomBytes(12 * MIB))
      while (rig.storage.blocks.usedBytes < MIB) await sleep(20)
      sending.destroy(new Error('cut'))
      await lost
      while ((await traces(rig)).uploads > 0) await sleep(20)
      assert.deepEqual(await traces(rig), NOTHING)
    } finally {
      await listener.stop()
    }
  })

  test('a stream that fails, an empty one, and a form', async () => {
    const { rig, acme } = await begin()
    const failing = new ReadableStream<Uint8Array>({
      start: (controller) => controller.enqueue(randomBytes(2 * MIB)),
      pull: async (controller) => {
        await sleep(50)
        controller.error(new Error('cable'))
      },
    })
    const broken = await upload(rig, acme, failing, 400)
    assert.equal((broken as { code: string }).code, 'upload-broken')
    const empty = await upload(rig, acme, new Uint8Array(), 400)
    assert.equal((empty as { code: string }).code, 'upload-empty')
    const form = new FormData()
    form.set('file', 'x')
    const refused = await upload(rig, acme, form, 415)
    assert.equal((refused as { code: string }).code, 'media-type-unsupported')
    assert.deepEqual(await traces(rig), NOTHING)
  })

  test('an image that says it is larger than allowed, or that fills the disk', async () => {
    const { rig, acme } = await begin({ quotaBytes: 64 * MIB })
    const large = await rig.call<{ code: string }>(
      'POST',
      `/v1/vendors/${acme.vendor}/releases?model=pump&version=1`,
      {
        expect: 413,
        token: acme.token,
        body: new Uint8Array(1),
        headers: { 'content-length': String(9 * 1024 ** 3) },
      },
    )
    assert.equal(large.code, 'body-too-large')
    let left = 80
    const endless = new ReadableStream<Uint8Array>({
      pull: (controller) => {
        if (left-- > 0) controller.enqueue(randomBytes(MIB))
        else controller.close()
      },
    })
    const full = (await upload(rig, acme, endless, 507)) as { code: string }
    assert.equal(full.code, 'storage-full')
    assert.deepEqual(await traces(rig), NOTHING)
  })

  test('a body that came before, and a version that was given', async () => {
    const { rig, acme } = await begin()
    await rig.publish(acme, randomBytes(1000), '1')
    const again = (await upload(rig, acme, randomBytes(1000), 409)) as { code: string }
    assert.equal(again.code, 'version-exists')
    const opened = await rig.call<{ upload: string }>(
      'POST',
      `/v1/vendors/${acme.vendor}/uploads`,
      { expect: 201, token: acme.token, json: { model: 'pump', version: '2' } },
    )
    const put = (expect: number) =>
      rig.call<{ code?: string }>('PUT', `/v1/uploads/${opened.upload}`, {
        expect,
        token: acme.token,
        body: randomBytes(100),
      })
    await put(201)
    assert.equal((await put(409)).code, 'upload-not-open')
  })
})

describe('a release whose seeds are away', () => {
  test('is a draft that gets no grants, and is published when they turn up', async () => {
    const { rig, acme } = await begin()
    for (const seed of rig.seeds) seed.away = true
    const device = await rig.enroll(acme)
    const draft = (await upload(rig, acme, randomBytes(1000), 202)) as { id: string; state: string }
    assert.equal(draft.state, 'draft')
    await assert.rejects(
      device.client.grant({ root: draft.id }),
      (error: { problem?: { code: string } }) => error.problem?.code === 'release-not-published',
    )
    const snapshot = await device.client.tufFile(acme.vendor, 'metadata/1.snapshot.json')
    assert.ok(snapshot !== undefined && !Buffer.from(snapshot).includes('pump'))
    for (const seed of rig.seeds) seed.away = false
    await rig.saySeeds()
    for (;;) {
      const { latest } = await device.client.poll({})
      if (latest?.root === draft.id) break
      await sleep(20)
    }
  })

  test('is gone on with by the next process', async () => {
    const { rig: first, acme } = await begin()
    for (const seed of first.seeds) seed.away = true
    const draft = (await upload(first, acme, randomBytes(1000), 202)) as { id: string }
    await first.stop()
    for (const seed of first.seeds) seed.away = false
    rig = await startGateway({ folder: first.folder, seeds: first.seeds })
    for (;;) {
      const now = await rig.call<{ state: string }>('GET', `/v1/releases/${draft.id}`, {
        expect: 200,
        token: acme.token,
      })
      if (now.state === 'published') break
      await sleep(20)
    }
    assert.equal(rig.announced.length, 1)
  })
})

describe('who may not', () => {
  test('gets a problem that says what is missing', async () => {
    const { rig, acme } = await begin()
    const other = await rig.createVendor()
    const { token: reader } = await rig.call<{ token: string }>(
      'POST',
      `/v1/vendors/${acme.vendor}/tokens`,
      { expect: 201, token: acme.token, json: { name: 'reader', scopes: ['read'] } },
    )
    const device = await rig.enroll(acme)
    const refusals: [string, string, string | undefined, number, string][] = [
      ['GET', '/v1/devices', undefined, 401, 'token-missing'],
      ['GET', '/v1/devices', `iox_v_${'x'.repeat(43)}`, 401, 'token-refused'],
      ['GET', '/v1/devices', 'nonsense', 401, 'token-refused'],
      ['POST', '/v1/vendors', acme.token, 403, 'token-scope-missing'],
      ['POST', '/v1/enrollments', reader, 403, 'token-scope-missing'],
      ['GET', '/v1/receipts', rig.operatorToken, 403, 'token-scope-missing'],
      ['GET', `/v1/vendors/${acme.vendor}/releases`, other.token, 403, 'not-yours'],
      ['GET', `/v1/devices/${device.identity.evmAddress}`, other.token, 404, 'not-found'],
      ['GET', '/v1/devices', device.enrollment.token, 403, 'token-scope-missing'],
      ['GET', '/v1/nothing', acme.token, 404, 'not-found'],
      ['GET', '/v1/releases/not-a-cid', acme.token, 400, 'request-invalid'],
    ]
    for (const [method, path, token, expect, code] of refusals) {
      const problem = await rig.call<{ code: string; fix?: string }>(method, path, {
        expect,
        token,
        ...(method === 'POST' ? { json: {} } : {}),
      })
      assert.equal(problem.code, code, `${method} ${path}`)
      assert.ok(problem.fix, `${method} ${path} says no fix`)
    }
  })

  test('loses a revoked or expired token at once', async () => {
    const { rig, acme } = await begin()
    const path = `/v1/vendors/${acme.vendor}/tokens`
    const made = await rig.call<{ id: string; token: string }>('POST', path, {
      expect: 201,
      token: acme.token,
      json: { name: 'ci', scopes: ['read'] },
    })
    await rig.call('GET', '/v1/devices', { expect: 200, token: made.token })
    await rig.call('DELETE', `${path}/${made.id}`, { expect: 200, token: acme.token })
    await rig.call('GET', '/v1/devices', { expect: 401, token: made.token })
    const stored = await rig.store.db.selectFrom('tokens').selectAll().execute()
    assert.equal(JSON.stringify(stored).includes(acme.token.slice(6)), false)
    await assert.rejects(
      rig.call('POST', path, {
        expect: 201,
        token: acme.token,
        json: { name: 'old', scopes: ['read'], expiresAt: '2020-01-01T00:00:00Z' },
      }),
      codeIs('request-invalid'),
    )
  })

  test('cannot guess enrolment codes, nor use one twice or for a key that is not his', async () => {
    const { rig, acme } = await begin({ rateFactor: 1 })
    const device = await rig.enroll(acme)
    assert.equal(device.enrollment.vendor, acme.vendor)
    const guess = (n: number) => {
      const letter = ENROLLMENT_ALPHABET[n % 32] ?? 'A'
      return rig.request('/v1/enrollments/redeem', {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({
          code: `${letter.repeat(4)}-${letter.repeat(4)}`,
          publicKey: `0x02${'11'.repeat(32)}`,
          ageRecipient: device.identity.ageRecipient,
          signature: `0x${'22'.repeat(65)}`,
        }),
      })
    }
    const statuses = []
    for (let n = 0; n < 30; n++) statuses.push((await guess(n)).status)
    assert.equal(statuses[0], 422)
    assert.equal(statuses.at(-1), 429)
  })

  test('is told that JSON is broken or too large', async () => {
    const { rig, acme } = await begin()
    const send = (body: string) =>
      rig.call<{ code: string }>('POST', '/v1/enrollments', {
        expect: body.length > 100 ? 413 : 400,
        token: acme.token,
        body,
        headers: { 'content-type': 'application/json' },
      })
    assert.equal((await send('{"model":')).code, 'json-invalid')
    assert.equal((await send('{"model":7}')).code, 'request-invalid')
    assert.equal((await send(`{"model":"${'x'.repeat(100_000)}"}`)).code, 'body-too-large')
  })
})
