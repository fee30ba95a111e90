/** Nodes as processes of their own: started by hand, made friends by hand, stopped by a signal. */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { after, before, describe, test } from 'node:test'
import { systemRandom } from '../base/index.ts'
import { createIdentity, createKeystore, generateSeed } from '../identity/index.ts'
import { type NetworkFile, signNetworkFile } from '../network/index.ts'
import { emptyNetworkFile } from '../testing/local-network.ts'

const BIN = join(import.meta.dirname, 'ioex.ts')
const LOOPBACK = '/ip4/127.0.0.1/tcp/0'

interface Ready {
  readonly ready: boolean
  readonly peerId: string
  readonly multiaddrs: readonly string[]
  readonly knockUrl?: string
  readonly contactAddress: string
}

interface Running {
  readonly ready: Ready
  /** Resolves to the exit code. */
  stop(): Promise<number | null>
}

describe('nodes', () => {
  let folder: string
  let networkPath: string
  const children = new Set<ChildProcess>()

  const start = async (...args: string[]): Promise<Running> => {
    const child = spawn(process.execPath, [BIN, ...args, '--json'], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    children.add(child)
    const ended = new Promise<number | null>((resume) => child.once('close', resume))
    const lines = createInterface({ input: child.stdout })
    const line = await Promise.race([
      new Promise<string>((resume) => lines.once('line', resume)),
      ended.then((code) => Promise.reject(new Error(`it ended with ${code}`))),
    ])
    return {
      ready: JSON.parse(line) as Ready,
      stop() {
        child.kill('SIGTERM')
        return ended
      },
    }
  }

  const run = (...args: string[]) =>
    new Promise<{ readonly code: number | null; readonly json: Record<string, unknown> }>(
      (resolve, reject) => {
        const child = spawn(process.execPath, [BIN, ...args, '--json'], {
          stdio: ['ignore', 'pipe', 'ignore'],
        })
        let out = ''
        child.stdout.on('data', (chunk: Buffer) => {
          out += chunk.toString()
        })
        child.once('error', reject)
        child.once('close', (code) =>
          resolve({ code, json: JSON.parse(out) as Record<string, unknown> }),
        )
      },
    )

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'ioex-nodes-'))
    const port = await freePort()
    const { identity } = await createKeystore(join(folder, 'bootstrap', 'keystore.json'), {
      seed: generateSeed(systemRandom),
      passphrase: undefined,
    })
    const file: NetworkFile = {
      ...emptyNetworkFile(),
      bootstraps: [
        { peerId: identity.peerId.toString(), multiaddrs: [`/ip4/127.0.0.1/tcp/${port}`] },
      ],
    }
    const operator = createIdentity(generateSeed(systemRandom))
    networkPath = join(folder, 'network.json')
    await writeFile(networkPath, JSON.stringify(signNetworkFile(operator, file)))
    await writeFile(join(folder, 'code.txt'), 'open sesame\n')
    await start(
      ...['bootstrap', '--home', join(folder, 'bootstrap'), '--network', networkPath],
      ...['--listen', `/ip4/127.0.0.1/tcp/${port}`],
    )
  })
  after(async () => {
    for (const child of children) child.kill('SIGKILL')
    await rm(folder, { recursive: true, force: true })
  })

  test('a peer becomes the friend of a seed by its pairing code, and both stop cleanly', async () => {
    const seedHome = join(folder, 'seed')
    const peerHome = join(folder, 'peer')
    const code = join(folder, 'code.txt')
    const seed = await start(
      ...['seed', '--home', seedHome, '--network', networkPath, '--listen', LOOPBACK],
      ...['--http-listen', '127.0.0.1:0', '--pairing-code-file', code],
    )
    assert.equal(seed.ready.ready, true)
    assert.match(seed.ready.knockUrl ?? '', /^http:\/\/127\.0\.0\.1:\d+\/knock$/)
    const second = await run('peer', '--home', seedHome, '--listen', LOOPBACK)
    assert.deepEqual([second.code, second.json.code], [1, 'home-in-use'])

    const peer = await start(
      ...['peer', '--home', peerHome, '--network', networkPath, '--listen', LOOPBACK],
    )
    const asked = await run(
      ...['friend', 'request', seed.ready.contactAddress, '--home', peerHome],
      ...['--pairing-code-file', code, '--knock-url', seed.ready.knockUrl ?? ''],
    )
    assert.deepEqual([asked.code, asked.json.outcome], [0, 'befriended'])
    const { json } = await run('friend', 'list', '--home', seedHome)
    const friends = json.friends as { readonly peerId: string }[]
    assert.deepEqual(
      friends.map(({ peerId }) => peerId),
      [peer.ready.peerId],
    )
    const removed = await run('friend', 'remove', peer.ready.peerId, '--home', seedHome)
    assert.equal(removed.code, 0)
    assert.deepEqual([await peer.stop(), await seed.stop()], [0, 0])
    const gone = await run('friend', 'list', '--home', seedHome)
    assert.deepEqual([gone.code, gone.json.code], [5, 'node-not-running'])
  })

  test('a network file of another operator is refused in a home that knows its own', async () => {
    const other = createIdentity(generateSeed(systemRandom))
    const path = join(folder, 'other.json')
    await writeFile(path, JSON.stringify(signNetworkFile(other, emptyNetworkFile())))
    const home = join(folder, 'peer')
    const refused = await run('peer', '--home', home, '--network', path, '--listen', LOOPBACK)
    assert.deepEqual([refused.code, refused.json.code], [1, 'network-file-invalid'])
  })
})

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resume) => server.listen(0, '127.0.0.1', resume))
  const { port } = server.address() as AddressInfo
  await new Promise<void>((resume) => server.close(() => resume()))
  return port
}
