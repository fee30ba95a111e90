/** Debian's SWUpdate, unmodified, beside `ioex device ddi`, where releases come by peer-to-peer. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { publishFile, requestJson, startProcess, watchDevice } from '@ioex/gateway/localnet'
import type { DeviceDetailSchema } from '@ioex/node/api'
import { systemClock } from '@ioex/node/base'
import { openStage, type Stage } from '../stories/stage.ts'
import {
  confirm,
  createSignedImages,
  install,
  missingForSwupdate,
  type SignedImages,
} from './swupdate-client.ts'

const run = promisify(execFile)
const CLI = fileURLToPath(new URL('../../node/cli/ioex.ts', import.meta.url))
const CONTENT_BYTES = 3_000_000

type Shown = (typeof DeviceDetailSchema)['_output']
type Ready = Readonly<Record<'url' | 'tenant' | 'tokenFile' | 'device', string>>

describe('SWUpdate beside "ioex device ddi"', async () => {
  const missing = await missingForSwupdate()
  let stage: Stage
  let images: SignedImages
  before(async () => {
    if (missing !== undefined) return
    stage = await openStage({ seeds: 2 })
    images = await createSignedImages(join(stage.folder, 'images'))
    await run(process.execPath, [
      ...[CLI, 'device', 'enroll', '--home', homeOf(stage), '--json'],
      ...['--gateway', stage.network.gatewayUrl, '--code', await stage.code('pump')],
    ])
  })
  after(() => (missing === undefined ? stage.close() : undefined))

  /** One update, from its publication to the word of the gateway that it is confirmed. */
  const update = async (
    version: string,
    options: readonly string[],
    clientOf: (
      ready: Ready,
    ) => Promise<Pick<Parameters<typeof install>[0], 'url' | 'id' | 'token' | 'anyCertificate'>>,
  ): Promise<void> => {
    const { folder, vendor, network } = stage
    const agent = await startProcess({
      name: `ddi-${version}`,
      logFolder: join(folder, 'logs'),
      script: [
        ...[CLI, 'device', 'ddi', '--home', homeOf(stage), '--json', '--no-lan'],
        ...['--poll', '1s', ...options],
      ],
    })
    try {
      const ready = agent.ready as Ready
      const { device, tenant } = ready
      const content = randomBytes(CONTENT_BYTES)
      const slot = join(folder, `${version}-slot`)
      const file = join(folder, `${version}.swu`)
      await writeFile(slot, '')
      await writeFile(file, await images.make(version, content, slot))
      const watched = { name: agent.name, id: device, process: agent, slotFolder: '' }
      const { result } = watchDevice(watched, version, () => undefined)
      await publishFile(network.gatewayUrl, vendor, { file, model: 'pump', version })
      const client = {
        folder: join(folder, `${version}-client`),
        certificate: images.certificate,
        tenant,
        ...(await clientOf(ready)),
      }
      await install(client)
      assert.ok(Buffer.from(content).equals(await readFile(slot)), 'byte for byte')
      await confirm(client)
      const done = await result
      assert.ok(done.sources.length > 0 && done.fetchedBytes > CONTENT_BYTES, 'from peers')
      const shown = await reported(version, () =>
        requestJson<Shown>(`${network.gatewayUrl}/v1/devices/${device}`, { token: vendor.token }),
      )
      assert.deepEqual([shown.state, shown.protocol], ['confirmed', 'ioex'])
    } finally {
      await agent.stop()
    }
  }

  test('installs what came by peer-to-peer, and the device signs how it ended', async (context) => {
    if (missing !== undefined) {
      context.skip(missing)
      return
    }
    await update('1.0.0', ['--serve', '127.0.0.1:0'], async ({ url, tokenFile }) => ({
      url,
      id: 'pump-0042',
      token: (await readFile(tokenFile, 'utf8')).trim(),
    }))
  })

  test('of a whole site asks over TLS with a token of its own; one plain image stays on the disk', async (context) => {
    if (missing !== undefined) {
      context.skip(missing)
      return
    }
    const { folder } = stage
    const [key, cert, clients] = ['site.key', 'site.crt', 'clients.json'].map((name) =>
      join(folder, name),
    ) as [string, string, string]
    await run('openssl', [
      ...['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', key, '-out', cert],
      ...['-subj', '/CN=localhost', '-days', '2', '-addext', 'subjectAltName=IP:127.0.0.1'],
    ])
    const token = 'token-of-pump-0042'
    await writeFile(clients, JSON.stringify({ 'pump-0042': token }))
    const site = ['--serve', '0.0.0.0:0', '--tls-cert', cert, '--tls-key', key]
    await update('1.1.0', [...site, '--clients', clients], ({ url }) =>
      Promise.resolve({
        url: `https://127.0.0.1:${new URL(url).port}`,
        id: 'pump-0042',
        token,
        anyCertificate: true,
      }),
    )
    const slots = join(homeOf(stage), 'device', 'slots')
    const left = await Promise.all(['slot-a', 'slot-b'].map((slot) => readdir(join(slots, slot))))
    assert.deepEqual(left.flat(), ['image'])
  })
})

function homeOf(stage: Stage): string {
  return join(stage.folder, 'device')
}

/** Resolves with the device once the gateway has taken its last report, which is sent after it is on disk. */
async function reported(version: string, look: () => Promise<Shown>): Promise<Shown> {
  for (;;) {
    const shown = await look()
    if (shown.state === 'confirmed' && shown.running.version === version) return shown
    await systemClock.sleep(100)
  }
}
