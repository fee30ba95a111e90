/** Parts of images, as installers that stream and SWUpdate's delta handler ask for them. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { admitDdi, imageOf, withDdiGateway } from './testing/ddi-client.ts'

test('parts of an image come one, several, or not at all, as RFC 7233 has it', () =>
  withDdiGateway(async (rig, acme) => {
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
  withDdiGateway(
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
