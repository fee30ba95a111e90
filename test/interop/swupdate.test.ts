/**
 * Debian's SWUpdate, unmodified, gets its images from us: from the gateway, over a link that breaks, and from
 * `ioex device ddi` beside it, where the release comes by peer-to-peer.
 */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test, type TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { publishFile, requestJson, startProcess, watchDevice } from '@ioex/gateway/localnet'
import { listen, startGateway } from '@ioex/gateway/testing'
import type { DeviceDetailSchema } from '@ioex/node/api'
import { systemClock } from '@ioex/node/base'
import { openStage } from '../stories/stage.ts'
import { startCuttingProxy } from './cutting-proxy.ts'
import {
  createSignedImages,
  missingForSwupdate,
  type SignedImages,
  startSwupdate,
} from './swupdate-client.ts'

const run = promisify(execFile)
const CLI = fileURLToPath(new URL('../../node/cli/ioex.ts', import.meta.url))
const CONTENT_BYTES = 3_000_000
const RANGE_REQUESTS = 5_000
const INSTALLED = /SWUPDATE successful/
/** The client says how it ended, and is content with the answer. */
const TOLD = /"finished": "success" }, "execution": "closed"[\s\S]*?HTTP status code 200/

type Shown = (typeof DeviceDetailSchema)['_output']

describe('SWUpdate', () => {
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
      readonly client: Omit<Parameters<typeof startSwupdate>[0], 'url' | 'confirm'>
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
    const listener = await listen({ clock: systemClock }, rig.gateway.app, {
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
      const first = await startSwupdate({ ...client, url: ddi })
      try {
        await first.says(INSTALLED)
      } finally {
        await first.stop()
      }
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

      const restarted = await startSwupdate({ ...client, url: ddi, confirm: true })
      try {
        await restarted.says(TOLD)
      } finally {
        await restarted.stop()
      }
      const { state, running, protocol } = await shown()
      assert.deepEqual([state, running.version, protocol], ['confirmed', '1.0.0', 'ddi'])
    }))

  test('goes on where a download broke off', (context) =>
    withGateway(context, 'resumed', async ({ url, client, shown, content, slot }) => {
      const proxy = await startCuttingProxy(url, { afterBytes: 1_000_000, times: 2 })
      const installing = await startSwupdate({ ...client, url: `${proxy.url}/ddi` })
      try {
        await installing.says(INSTALLED)
      } finally {
        await installing.stop()
        await proxy.stop()
      }
      assert.equal(proxy.cuts, 2)
      assert.equal(proxy.ranges.length, 2, 'each time for the rest only')
      for (const range of proxy.ranges) assert.match(range, /^bytes=[1-9]\d*-$/)
      assert.ok(Buffer.from(content).equals(await readFile(slot)), 'byte for byte')
      assert.equal((await shown()).state, 'downloading')
      const restarted = await startSwupdate({ ...client, url: `${url}/ddi`, confirm: true })
      try {
        await restarted.says(TOLD)
      } finally {
        await restarted.stop()
      }
      assert.equal((await shown()).state, 'confirmed')
    }))

  test('installs from "ioex device ddi" what came by peer-to-peer, and the device signs how it ended', async (context) => {
    if (missing !== undefined) {
      context.skip(missing)
      return
    }
    const stage = await openStage({ seeds: 2 })
    const home = join(folder, 'device')
    try {
      const { gatewayUrl } = stage.network
      await run(process.execPath, [
        ...[CLI, 'device', 'enroll', '--home', home, '--json'],
        ...['--gateway', gatewayUrl, '--code', await stage.code('pump')],
      ])
      const agent = await startProcess({
        name: 'ddi',
        logFolder: join(stage.folder, 'logs'),
        script: [
          ...[CLI, 'device', 'ddi', '--home', home, '--json', '--no-lan'],
          ...['--serve', '127.0.0.1:0', '--poll', '1s'],
        ],
      })
      try {
        const { url, tenant, tokenFile, device } = agent.ready as Record<string, string>
        assert.ok(url && tenant && tokenFile && device)
        const token = (await readFile(tokenFile, 'utf8')).trim()
        const { content, slot, image } = await newImage('beside')
        const file = join(folder, 'beside.swu')
        await writeFile(file, image)
        const watched = { name: 'ddi', id: device, process: agent, slotFolder: '' }
        const { result } = watchDevice(watched, '1.0.0', () => undefined)
        await publishFile(gatewayUrl, stage.vendor, { file, model: 'pump', version: '1.0.0' })
        const client = {
          folder: join(folder, 'beside-client'),
          certificate: images.certificate,
          ...{ url, tenant, token, id: 'pump-0042' },
        }
        const installing = await startSwupdate(client)
        try {
          await installing.says(INSTALLED)
        } finally {
          await installing.stop()
        }
        assert.ok(Buffer.from(content).equals(await readFile(slot)), 'byte for byte')
        const restarted = await startSwupdate({ ...client, confirm: true })
        try {
          await restarted.says(TOLD)
        } finally {
          await restarted.stop()
        }
        const done = await result
        assert.ok(done.sources.length > 0 && done.fetchedBytes > CONTENT_BYTES, 'from peers')
        const { stdout } = await run(process.execPath, [
          ...[CLI, 'device', 'status', '--home', home, '--json'],
        ])
        const status = JSON.parse(stdout) as { installed: { version: string }; phase: string }
        assert.deepEqual([status.installed.version, status.phase], ['1.0.0', 'idle'])
        const shown = await reported(() =>
          requestJson<Shown>(`${gatewayUrl}/v1/devices/${device}`, { token: stage.vendor.token }),
        )
        assert.deepEqual([shown.running.version, shown.protocol], ['1.0.0', 'ioex'])
      } finally {
        await agent.stop()
      }
    } finally {
      await stage.close()
    }
  })
})

/** Resolves with the device once the gateway has taken its last report, which is sent after it is on disk. */
async function reported(look: () => Promise<Shown>): Promise<Shown> {
  for (;;) {
    const shown = await look()
    if (shown.state === 'confirmed') return shown
    await systemClock.sleep(100)
  }
}

type Links = Readonly<Record<string, { readonly href: string }>>

async function requestOf<T>(url: string, headers: Record<string, string>): Promise<T> {
  const answer = await fetch(url, { headers })
  assert.equal(answer.status, 200)
  return (await answer.json()) as T
}
