import assert from 'node:assert/strict'
import { createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, describe, test } from 'node:test'
import { systemClock } from '../base/index.ts'
import {
  ApiError,
  createGatewayClient,
  EnrollmentCodeSchema,
  grantFromJson,
  grantToJson,
  SignedGrantSchema,
} from './index.ts'

let server: Server | undefined
afterEach(() => {
  server?.closeAllConnections()
  server?.close()
  server = undefined
})

async function gatewayThat(answer: RequestListener, token?: string) {
  server = createServer(answer)
  await new Promise<void>((listening) => server?.listen(0, '127.0.0.1', listening))
  const { port } = server.address() as AddressInfo
  const gateway = `http://127.0.0.1:${port}/`
  return createGatewayClient({ clock: systemClock, fetch }, { gateway, token })
}

const ROOT = 'bafyreigaknpexyvxt76zgkitavbwx6ejgfheup5oybpm77f3pxzrvwpfdi'

describe('the client of a gateway', () => {
  test('sends the token and checks the answer', async () => {
    let seen: string | undefined
    const told = {
      pollAfterS: 60,
      latest: null,
      networkVersion: 3,
      metadataExpiresMs: null,
      orders: 0,
    }
    const client = await gatewayThat((request, response) => {
      seen = request.headers.authorization
      response.setHeader('content-type', 'application/json')
      response.end(JSON.stringify({ ...told, later: 'ignored' }))
    }, 'iox_d_secret')
    const answer = await client.poll({ version: '1.0' })
    assert.deepEqual(answer, told)
    assert.equal(seen, 'Bearer iox_d_secret')
  })

  test('hands on code, detail and fix of a problem document', async () => {
    const client = await gatewayThat((_, response) => {
      response.writeHead(409, { 'content-type': 'application/problem+json' })
      response.end(
        JSON.stringify({
          type: '/docs#release-withdrawn',
          title: 'withdrawn',
          status: 409,
          code: 'release-withdrawn',
          detail: 'the release was withdrawn',
          fix: 'Wait for a newer one.',
        }),
      )
    })
    await assert.rejects(client.grant({ root: ROOT }), (error: unknown) => {
      assert.ok(error instanceof ApiError)
      assert.equal(error.code, 'gateway-refused')
      assert.equal(error.problem?.code, 'release-withdrawn')
      assert.equal(error.fix, 'Wait for a newer one.')
      return true
    })
  })

  test('refuses an answer that is not what the API says', async () => {
    const client = await gatewayThat((_, response) => response.end('<html>a captive portal</html>'))
    await assert.rejects(client.networkFile(), { code: 'gateway-answer-invalid' })
  })

  test('stops reading where the bound is', async () => {
    const client = await gatewayThat((_, response) => {
      const more = () => {
        while (response.write(Buffer.alloc(65_536)));
        response.once('drain', more)
      }
      more()
    })
    await assert.rejects(client.releaseKey(ROOT), { code: 'gateway-answer-too-large' })
  })

  test('knows "no such thing" from a failure', async () => {
    const client = await gatewayThat((_, response) => {
      response.statusCode = 404
      response.end()
    })
    assert.equal(await client.tufFile('0xab', 'metadata/2.root.json'), undefined)
  })

  test('says that nobody answers', async () => {
    const client = createGatewayClient(
      { clock: systemClock, fetch },
      { gateway: 'http://127.0.0.1:9' },
    )
    await assert.rejects(client.networkFile(), { code: 'gateway-unreachable', blame: 'peer' })
  })

  test('ends with the reason of the signal that aborts it', async () => {
    const client = await gatewayThat(() => undefined)
    const stop = new AbortController()
    const waiting = client.networkFile({ signal: stop.signal })
    const reason = new Error('no longer wanted')
    setTimeout(() => stop.abort(reason), 20)
    await assert.rejects(waiting, reason)
  })

  test('refuses an address that is none, before any call', () => {
    assert.throws(
      () => createGatewayClient({ clock: systemClock, fetch }, { gateway: 'fw.example' }),
      { code: 'gateway-unreachable', message: /not a web address/ },
    )
  })
})

test('a grant passes through JSON unchanged, numbers of 64 bits included', () => {
  const digest = `0x${'ab'.repeat(32)}` as const
  const grant = {
    message: {
      vendor: `0x${'11'.repeat(20)}`,
      device: `0x${'22'.repeat(20)}`,
      root: digest,
      deltaRoot: digest,
      maxBytes: (1n << 64n) - 1n,
      service: digest,
      priceVersion: 1,
      notBefore: 1,
      notAfter: 2,
      serial: 9_007_199_254_740_993n,
    },
    signature: `0x${'cd'.repeat(65)}`,
  } as const
  const json: unknown = JSON.parse(JSON.stringify(grantToJson(grant)))
  assert.deepEqual(grantFromJson(SignedGrantSchema.parse(json)), grant)
  const beyond = structuredClone(grantToJson(grant))
  beyond.message.maxBytes = String(1n << 64n)
  assert.equal(SignedGrantSchema.safeParse(beyond).success, false)
})

test('an enrolment code is read as people type it, and refused when it is mistyped', () => {
  assert.equal(EnrollmentCodeSchema.parse(' 7f3k-92qd '), '7F3K-92QD')
  for (const bad of ['7F3K92QD', '7F3K-92Q0', '7F3K-92QDX', 'IIII-OOOO']) {
    assert.equal(EnrollmentCodeSchema.safeParse(bad).success, false, bad)
  }
})
