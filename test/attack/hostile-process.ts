/**
 * Many clients in one process that are let in and mean harm: real nodes with grants of their own, which cost
 * the seed as much as the protocol lets them. Client number n does what `KINDS[n % 4]` says, over libp2p and over
 * HTTP by turns of four.
 *
 * | kind | what it does |
 * | --- | --- |
 * | full | opens every stream it may, wants as much as a stream may want, never reads |
 * | slow | the same, and reads a frame a second |
 * | half | opens every stream it may and sends half a frame on it, over HTTP nothing; again when it is cut off |
 * | absent | wants what is not there, as much as a stream may want, over and over |
 */
import { MIB, silentLog, systemClock, systemRandom } from '@ioex/node/base'
import { createIdentity, generateSeed } from '@ioex/node/identity'
import {
  createHttpPass,
  createNetwork,
  type FramedStream,
  type HttpPass,
  type Network,
} from '@ioex/node/network'
import { encodeSignedGrant } from '@ioex/node/receipts'
import { EXCHANGE_WIRE, emptyNetworkFile, seededRandom, wire } from '@ioex/node/testing'
import { peerIdFromString } from '@libp2p/peer-id'
import { multiaddr } from '@multiformats/multiaddr'
import { MemoryDatastore } from 'datastore-core'
import { grantOf, treeOf } from './lab.ts'
import type { Pass, TreeTask } from './seed-process.ts'

export interface HostileTask {
  readonly from: number
  readonly to: number
  readonly vendorSeedHex: string
  readonly tree: TreeTask
  readonly server: readonly string[]
  readonly serverId: string
  readonly http: string
  readonly passes: Readonly<Record<string, Pass>>
  readonly streamsPerClient: number
}

const KINDS = ['full', 'slow', 'half', 'absent'] as const

export function hostileIdentity(number: number) {
  return createIdentity(seededRandom(`hostile client ${number}`).bytes(32))
}

if (import.meta.main) {
  await attack(JSON.parse(process.argv[2] ?? '{}') as HostileTask)
}

async function attack(task: HostileTask): Promise<void> {
  const tree = treeOf(task.tree)
  const vendor = createIdentity(Uint8Array.fromHex(task.vendorSeedHex))
  const digests = tree.leaves
    .slice(0, EXCHANGE_WIRE.maxWantsPerStream)
    .map((cid) => cid.multihash.digest.toHex())
  const serverId = peerIdFromString(task.serverId)
  const server = task.server.map((text) => multiaddr(text))
  process.on('disconnect', () => process.exit(0))
  const starting: Promise<void>[] = []
  for (let number = task.from; number < task.to; number++) starting.push(start(number))
  await Promise.all(starting)
  process.send?.({ attacking: task.to - task.from })

  async function start(number: number): Promise<void> {
    const identity = hostileIdentity(number)
    const network = createNetwork(
      {
        identity,
        gate: {},
        datastore: new MemoryDatastore(),
        clock: systemClock,
        random: systemRandom,
        log: silentLog,
      },
      { role: 'device', listen: [], networkFile: emptyNetworkFile() },
    )
    await network.start()
    const isHttp = Math.floor(number / KINDS.length) % 2 === 1
    const pass = isHttp ? passOf(network.peerId.toString()) : undefined
    const connection = isHttp ? undefined : await persistently(() => network.libp2p.dial(server))
    const kind = KINDS[number % KINDS.length] ?? 'full'
    const grant = encodeSignedGrant(grantOf(vendor, identity.evmAddress, tree, 64 * MIB))
    const open = wire.open(tree.root.code, tree.root.multihash.digest, grant)
    const streams = Array.from({ length: task.streamsPerClient }, async () => {
      const first = Promise.withResolvers<void>()
      void again(async () => {
        if (kind === 'half' && connection === undefined) {
          const stream = await openStream(network, pass)
          first.resolve()
          // Asking for an answer is what opens it.
          await stream.receive()
        } else if (kind === 'half' && connection !== undefined) {
          const stream = await connection.newStream(EXCHANGE_WIRE.protocol)
          stream.send(new Uint8Array([0, 0, 4, 0, 1]))
          first.resolve()
          await new Promise((resolve) => stream.addEventListener('close', resolve, { once: true }))
        } else if (kind !== 'half') {
          const stream = await openStream(network, pass)
          await stream.send(open)
          await harm(kind, stream, first.resolve)
        }
      })
      await first.promise
    })
    await Promise.all(streams)
  }

  function passOf(peer: string): HttpPass {
    const { session = '', key = '' } = task.passes[peer] ?? {}
    return createHttpPass({
      server: serverId,
      session: Uint8Array.fromHex(session),
      key: Uint8Array.fromHex(key),
    })
  }

  function openStream(network: Network, pass: HttpPass | undefined): Promise<FramedStream> {
    return network.open(serverId, EXCHANGE_WIRE.protocol, {
      maxFrameBytes: EXCHANGE_WIRE.maxFrameBytes,
      ...(pass === undefined ? { multiaddrs: [] } : { http: { url: task.http, pass } }),
    })
  }

  async function harm(
    kind: Exclude<(typeof KINDS)[number], 'half'>,
    stream: FramedStream,
    begun: () => void,
  ): Promise<void> {
    const wants = kind === 'absent' ? strangers() : digests
    for (let from = 0; from < wants.length; from += EXCHANGE_WIRE.maxDigestsPerFrame) {
      await stream.send(wire.want(wants.slice(from, from + EXCHANGE_WIRE.maxDigestsPerFrame)))
    }
    begun()
    if (kind === 'full') {
      await new Promise<never>(() => undefined)
    }
    for (;;) {
      if ((await stream.receive()) === undefined) return
      if (kind === 'slow') await systemClock.sleep(1_000)
    }
  }
}

/** Digests that nobody has. */
function strangers(): string[] {
  return Array.from({ length: EXCHANGE_WIRE.maxWantsPerStream }, () =>
    generateSeed(systemRandom).toHex(),
  )
}

/** For ever, whatever becomes of it: being cut off is what it is there for. */
async function again(run: () => Promise<void>): Promise<never> {
  for (;;) {
    await Promise.allSettled([run()])
    await systemClock.sleep(200)
  }
}

/** Until it works: the seed lets in so many new connections a second. */
async function persistently<T>(run: () => Promise<T>): Promise<T> {
  for (;;) {
    const [outcome] = await Promise.allSettled([run()])
    if (outcome.status === 'fulfilled') return outcome.value
    await systemClock.sleep(100 + systemRandom.int(400))
  }
}
