/** Debian's SWUpdate, unmodified, gets its images from the gateway, also over a link that breaks. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test, type TestContext } from 'node:test'
import { listen, startGateway } from '@ioex/gateway/testing'
import type { DeviceDetailSchema } from '@ioex/node/api'
import { systemClock } from '@ioex/node/base'
import { startCuttingProxy } from './cutting-proxy.ts'
import {
  confirm,
  createSignedImages,
  install,
  missingForSwupdate,
  type SignedImages,
} from './swupdate-client.ts'

const CONTENT_BYTES = 3_000_000
const RANGE_REQUESTS = 5_000

type Shown = (typeof DeviceDetailSchema)['_output']

describe('SWUpdate at the gateway', () => {
  let folder: string
  let images: SignedImages
  let missing: string | undefined
  before(async () => {
    missing = await missingForSwupdate()
    folder = await mkdtemp(join(tmpdir(), 'ioex-swupdate-'))
    if (missing === undefined) images = await createSignedImages(join(folder, 'images'))
  })
  after(() => rm(folder, { recursive: true, force: true }))

  /** What the device is to have, the image that writes it, and where. */
  const newImage = async (name: string) => {
    const content = randomBytes(CONTENT_BYTES)
    const slot = join(folder, `${name}-slot`)
    await writeFile(slot, '')
    return { content, slot, image: await images.make(name, content, slot) }
  }

  const withGateway = async (
    context: TestContext,
    name: string,
    story: (parts: {
      readonly rig: Awaited<ReturnType<typeof startGateway>>
      readonly url: string
      readonly client: Omit<Parameters<typeof install>[0], 'url' | 'confirm'>
      readonly shown: () => Promise<Shown>
      readonly content: Uint8Array
      readonly slot: string
    }) => Promise<void>,
  ) => {
    if (missing !== undefined) {
      context.skip(missing)
      return
    }
    const rig = await startGateway({ rateFactor: 1 })
    const listener = await listen({ clock: systemClock }, rig.gateway, {
      host: '127.0.0.1',
      port: 0,
    })
    try {
      const { vendor, token } = await rig.createVendor()
      await rig.saySeeds()
      const { content, slot, image } = await newImage(name)
      await rig.publish({ vendor, token }, image, '1.0.0')
      const made = await rig.call<{ device: string; token: string }>(
        'POST',
        `/v1/vendors/${vendor}/ddi/devices`,
        { expect: 201, token, json: { controllerId: name, model: 'pump' } },
      )
      await story({
        ...{ rig, content, slot, url: listener.url },
        client: {
          folder: join(folder, `${name}-client`),
          certificate: images.certificate,
          tenant: vendor,
          id: name,
          token: made.token,
        },
        shown: () => rig.call<Shown>('GET', `/v1/devices/${made.device}`, { expect: 200, token }),
      })
    } finally {
      await listener.stop()
      await rig.remove()
    }
  }

  test('loads a whole image from the gateway, installs it, and is confirmed; 5,000 range requests meet no quota', (context) =>
    withGateway(context, 'whole', async ({ url, client, shown, content, slot }) => {
      const ddi = `${url}/ddi`
      await install({ ...client, url: ddi })
      assert.ok(Buffer.from(content).equals(await readFile(slot)), 'byte for byte')
      assert.equal((await shown()).running.version, null, 'it has not started it yet')

      // As an installer does that streams: within the same action, which is open until it is confirmed.
      const controller = `${ddi}/${client.tenant}/controller/v1/${client.id}`
      const headers = { authorization: `TargetToken ${client.token}` }
      const artifacts = await requestOf<{ size: number; _links: Links }[]>(
        `${controller}/softwaremodules/1/artifacts`,
        headers,
      )
      const link = artifacts[0]?._links['download-http']?.href
      assert.ok(link)
      for (let n = 0; n < RANGE_REQUESTS; n++) {
        const range = `bytes=${n * 512}-${n * 512 + 511}`
        const answer: Response = await fetch(link, { headers: { ...headers, range } })
        assert.equal(answer.status, 206)
        assert.equal((await answer.arrayBuffer()).byteLength, 512)
      }

      await confirm({ ...client, url: ddi })
      const { state, running, protocol } = await shown()
      assert.deepEqual([state, running.version, protocol], ['confirmed', '1.0.0', 'ddi'])
    }))

  test('goes on where a download broke off', (context) =>
    withGateway(context, 'resumed', async ({ url, client, shown, content, slot }) => {
      const proxy = await startCuttingProxy(url, { afterBytes: 1_000_000, times: 2 })
      try {
        await install({ ...client, url: `${proxy.url}/ddi` })
      } finally {
        await proxy.stop()
      }
      assert.equal(proxy.cuts, 2)
      assert.equal(proxy.ranges.length, 2, 'each time for the rest only')
      for (const range of proxy.ranges) assert.match(range, /^bytes=[1-9]\d*-$/)
      assert.ok(Buffer.from(content).equals(await readFile(slot)), 'byte for byte')
      assert.equal((await shown()).running.version, null)
      await confirm({ ...client, url: `${url}/ddi` })
      assert.equal((await shown()).state, 'confirmed')
    }))
})

type Links = Readonly<Record<string, { readonly href: string }>>

async function requestOf<T>(url: string, headers: Record<string, string>): Promise<T> {
  const answer = await fetch(url, { headers })
  assert.equal(answer.status, 200)
  return (await answer.json()) as T
}
