/** The command line of a device as its own process, against a seed with real sockets and a gateway over HTTP. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { MIB, silentLog, systemClock, systemRandom, toHex, unixSeconds } from '../base/index.ts'
import { treeBlocks } from '../chunks/index.ts'
import { type Bootstrap, createBootstrap, createNode, type IoexNode } from '../create-node.ts'
import { wrapReleaseKey } from '../firmware/index.ts'
import { createIdentity, generateSeed } from '../identity/index.ts'
import type { NetworkFile } from '../network/index.ts'
import { createFakeGateway, type FakeGateway } from '../testing/fake-gateway.ts'
import { createFakeVendor } from '../testing/fake-vendor.ts'
import { emptyNetworkFile } from '../testing/local-network.ts'

const MODEL = 'pump-s3'
const BIN = join(import.meta.dirname, 'ioex.ts')
const LOOPBACK = '/ip4/127.0.0.1/tcp/0'
const newIdentity = () => createIdentity(generateSeed(systemRandom))

interface Ran {
  readonly code: number | null
  readonly out: string
  readonly err: string
}

describe('ioex device', () => {
  let folder: string
  let bootstrap: Bootstrap
  let seed: IoexNode
  let gateway: FakeGateway
  let server: Server
  let url: string
  const signer = newIdentity()
  const vendor = createFakeVendor({ clock: systemClock }, { name: 'cli' })

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'ioex-device-'))
    const listed = { peerId: '', multiaddrs: [] as string[] }
    const networkFile: NetworkFile = { ...emptyNetworkFile(), bootstraps: [listed] }
    const own = newIdentity()
    listed.peerId = own.peerId.toString()
    bootstrap = await createBootstrap(
      { identity: own, log: silentLog },
      { home: join(folder, 'bootstrap'), networkFile, listen: [LOOPBACK] },
    )
    listed.multiaddrs.push(...bootstrap.network.addresses().direct.map(String))
    seed = await createNode(
      { identity: newIdentity(), log: silentLog },
      {
        home: join(folder, 'seed'),
        role: 'seed',
        networkFile,
        listen: [LOOPBACK],
        nospam: () => new Uint8Array(4),
        quotaBytes: 256 * MIB,
        acceptPins: true,
        httpListen: { host: '127.0.0.1', port: 0 },
      },
    )
    gateway = createFakeGateway({
      clock: systemClock,
      vendor,
      signer,
      domain: networkFile.ledger,
      networkFile,
    })
    gateway.codes.set('7F3K-92QD', MODEL)
    const { httpUrl } = seed.network
    assert.ok(httpUrl)
    gateway.sources.push({
      peerId: seed.identity.peerId,
      multiaddrs: seed.network.addresses().direct,
      http: httpUrl,
    })
    server = createServer((request, response) => {
      const parts: Buffer[] = []
      request.on('data', (part: Buffer) => parts.push(part))
      request.on('end', () => {
        const body = Buffer.concat(parts).toString()
        gateway
          .fetch(`http://gateway.test${request.url ?? ''}`, {
            method: request.method ?? 'GET',
            ...(body === '' ? {} : { body }),
          })
          .then(async (answer) => {
            response.writeHead(answer.status, Object.fromEntries(answer.headers))
            response.end(Buffer.from(await answer.arrayBuffer()))
          })
          .catch(() => response.destroy())
      })
    })
    await new Promise<void>((resume) => server.listen(0, '127.0.0.1', resume))
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  })
  after(async () => {
    server.closeAllConnections()
    server.close()
    await seed.stop()
    await bootstrap.stop()
    await rm(folder, { recursive: true, force: true })
  })

  const ioex = (home: string, ...args: string[]) =>
    new Promise<Ran>((resolve, reject) => {
      const child = spawn(process.execPath, [BIN, ...args, '--home', home], {
        stdio: ['ignore', 'pipe', 'pipe'],
      })
      let out = ''
      let err = ''
      child.stdout.on('data', (chunk: Buffer) => {
        out += chunk.toString()
      })
      child.stderr.on('data', (chunk: Buffer) => {
        err += chunk.toString()
      })
      child.once('error', reject)
      child.once('close', (code) => resolve({ code, out, err }))
    })

  const publish = async (image: Uint8Array, version: string, ageRecipient: string) => {
    const { packed } = await vendor.publish(image, { model: MODEL, version })
    const pin = await seed.storage.pins.open(packed.root)
    const blocks = [{ cid: packed.root, bytes: packed.rootBytes }]
    for await (const { cid } of treeBlocks(packed.tree, vendor.getBlock)) {
      blocks.push({ cid, bytes: await vendor.getBlock(cid) })
    }
    await pin.add(blocks)
    await pin.commit({ owner: 'order:test' })
    const digest = toHex(packed.root.multihash.digest)
    seed.serverBook.trust(digest, [signer.evmAddress], unixSeconds(systemClock) + 3_600)
    gateway.releases.set(packed.root.toString(), {
      root: packed.root.toString(),
      digest,
      sealedBytes: packed.sealedBytes,
      wrap: await wrapReleaseKey(packed.releaseKey, [ageRecipient]),
    })
  }

  test('enrols, fetches, installs, and says so in one JSON document each', async () => {
    const home = join(folder, 'device')
    const slots = join(folder, 'slots')
    const early = await ioex(home, 'device', 'run', '--once', '--json')
    assert.equal(early.code, 4)
    assert.equal((JSON.parse(early.out) as { code: string }).code, 'not-enrolled')
    const wrong = await ioex(home, 'device', 'enroll', '--gateway', url, '--code', '2222-2222')
    assert.equal(wrong.code, 1)
    assert.match(wrong.err, /\[code-refused\]/)
    const enrolled = await ioex(
      home,
      'device',
      'enroll',
      '--gateway',
      url,
      '--code',
      '7f3k-92qd',
      '--json',
    )
    assert.equal(enrolled.code, 0, enrolled.out + enrolled.err)

    const id = JSON.parse((await ioex(home, 'id', '--json')).out) as { ageRecipient: string }
    const image = randomBytes(3 * MIB)
    await publish(image, '1.0.0', id.ageRecipient)
    const ran = await ioex(home, 'device', 'run', '--once', '--json', '--slot-dir', slots)
    assert.equal(ran.code, 0, ran.out + ran.err)
    const result = JSON.parse(ran.out) as Record<string, unknown>
    assert.equal(result.sha256, `0x${createHash('sha256').update(image).digest('hex')}`)
    assert.ok((await readFile(join(slots, 'current', 'image'))).equals(image))
    assert.deepEqual(result.sources, [
      { peerId: seed.identity.peerId.toString(), bytes: result.fetchedBytes },
    ])
    assert.equal((result.receipts as { bytes: number }).bytes, result.fetchedBytes)

    const status = await ioex(home, 'device', 'status')
    assert.match(status.out, /running +1\.0\.0, confirmed/)
    const again = await ioex(home, 'device', 'run', '--once', '--slot-dir', slots)
    assert.deepEqual([again.code, again.out], [0, 'Running 1.0.0; nothing newer is published.\n'])
  })
})
