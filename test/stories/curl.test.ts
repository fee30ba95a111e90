import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { promisify } from 'node:util'
import { createNode } from '@ioex/node'
import { createGatewayClient } from '@ioex/node/api'
import { silentLog, systemClock } from '@ioex/node/base'
import { openKeystore } from '@ioex/node/identity'
import { verifyNetworkFile } from '@ioex/node/network'
import { peerIdFromString } from '@libp2p/peer-id'
import { multiaddr } from '@multiformats/multiaddr'
import { CID } from 'multiformats/cid'
import { firmwareLike, MIB, openStage, sha256Of, type Stage, writeImage } from './stage.ts'

const run = promisify(execFile)
const cli = join(import.meta.dirname, '../../node/cli/ioex.ts')
const ioex = async (...args: string[]) =>
  JSON.parse((await run(process.execPath, [cli, ...args, '--json'])).stdout) as Record<
    string,
    unknown
  >
/** curl itself, as the README has it. */
const curl = async (...args: string[]) =>
  JSON.parse(
    (await run('curl', ['--silent', '--show-error', '--fail-with-body', ...args])).stdout,
  ) as Record<string, unknown>

describe('curl and the command line, as the README shows them', () => {
  let stage: Stage
  let image = ''
  let release = ''
  let vendor = { vendor: '', token: '' }
  before(async () => {
    stage = await openStage({ seeds: 3 })
    image = await writeImage(join(stage.folder, 'firmware.bin'), firmwareLike(5 * MIB))
  })
  after(() => stage.close())

  test('make a vendor, publish a file and list its copies', async () => {
    const { gatewayUrl, operatorToken } = stage.network
    const created = await curl(
      ...['-X', 'POST', '-H', `authorization: Bearer ${operatorToken}`],
      ...['-H', 'content-type: application/json', '-d', '{"name":"Pumps Ltd"}'],
      `${gatewayUrl}/v1/vendors`,
    )
    vendor = { vendor: String(created.vendor), token: String(created.token) }
    const published = await curl(
      ...[
        '-X',
        'POST',
        '--data-binary',
        `@${image}`,
        '-H',
        `authorization: Bearer ${vendor.token}`,
      ],
      ...['-H', 'content-type: application/octet-stream'],
      `${gatewayUrl}/v1/vendors/${vendor.vendor}/releases?model=pump-s3&version=1.0.0`,
    )
    assert.equal(published.state, 'published')
    release = String(published.id)
    const list = await curl(
      ...['-H', `authorization: Bearer ${vendor.token}`],
      `${gatewayUrl}/v1/releases/${release}/addresses`,
    )
    assert.equal((list.entries as unknown[]).length, 3)
  })

  test('enrol a device that installs the same bytes', async () => {
    const home = join(stage.folder, 'pump')
    const slots = join(stage.folder, 'pump-slots')
    await enrol(home)
    const updated = await ioex('device', 'run', '--once', '--home', home, '--slot-dir', slots)
    assert.equal(updated.installed, true)
    assert.deepEqual(await readFile(join(slots, 'current', 'image')), await readFile(image))
    assert.equal(updated.sha256, await sha256Of(image))
  })

  test('every address of the list serves the whole release alone', async (t) => {
    const home = join(stage.folder, 'lone')
    await enrol(home)
    const stored = JSON.parse(await readFile(join(home, 'device', 'enrollment.json'), 'utf8')) as {
      readonly enrollment: {
        readonly token: string
        readonly network: unknown
        readonly operator: `0x${string}`
      }
    }
    const { token, network, operator } = stored.enrollment
    const gateway = createGatewayClient(
      { clock: systemClock, fetch: (url, init) => fetch(url, init) },
      { gateway: stage.network.gatewayUrl, token },
    )
    const { entries } = await gateway.addresses(release)
    assert.equal(entries.length, 3)
    for (const [at, entry] of entries.entries()) {
      const keystore = await openKeystore(join(home, 'keystore.json'), { passphrase: undefined })
      const node = await createNode(
        { identity: keystore.identity, log: silentLog },
        {
          // A fresh store each time, so that nothing is there already.
          home: join(stage.folder, `lone-${at}`),
          role: 'device',
          networkFile: verifyNetworkFile(network, { operator, clock: systemClock }),
          listen: [],
          nospam: () => keystore.nospam,
          quotaBytes: 256 * MIB,
          acceptPins: false,
        },
      )
      try {
        const report = await node.exchange.fetchAndPin({
          root: CID.parse(release),
          sources: [
            {
              peerId: peerIdFromString(entry.peerId),
              multiaddrs: entry.multiaddrs.map((address) => multiaddr(address)),
              ...(entry.http === undefined ? {} : { http: entry.http }),
            },
          ],
          grant: await gateway.grant({ root: release }),
          owner: { owner: 'install' },
        })
        assert.deepEqual(
          report.sources.map((source) => source.peerId),
          [entry.peerId],
        )
        t.diagnostic(`${entry.multiaddrs[0]}: ${report.fetchedBytes} bytes`)
      } finally {
        await node.stop()
      }
    }
  })

  async function enrol(home: string): Promise<void> {
    const { gatewayUrl } = stage.network
    const made = await curl(
      ...['-X', 'POST', '-H', `authorization: Bearer ${vendor.token}`],
      ...['-H', 'content-type: application/json', '-d', '{"model":"pump-s3"}'],
      `${gatewayUrl}/v1/enrollments`,
    )
    await ioex(
      'device',
      'enroll',
      '--home',
      home,
      '--gateway',
      gatewayUrl,
      '--code',
      String(made.code),
    )
  }
})
