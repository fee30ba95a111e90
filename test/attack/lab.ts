/** Seeds in processes of their own and devices in this one, with real sockets on loopback and real disks. */
import assert from 'node:assert/strict'
import { type ChildProcess, fork } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createNode, type IoexNode } from '@ioex/node'
import { GIB, MIB, silentLog, systemClock, systemRandom, toHex, unixSeconds } from '@ioex/node/base'
import type { FetchReport, Source, Wire } from '@ioex/node/exchange'
import { createIdentity, type EvmAddress, generateSeed } from '@ioex/node/identity'
import { type SignedGrant, serviceId, signGrant } from '@ioex/node/receipts'
import { createStorage } from '@ioex/node/storage'
import { emptyNetworkFile, type Tree } from '@ioex/node/testing'
import { peerIdFromString } from '@libp2p/peer-id'
import { multiaddr } from '@multiformats/multiaddr'
import {
  type Pass,
  type SeedFigures,
  type SeedTask,
  type TreeTask,
  treeOf,
} from './seed-process.ts'

/** No fault of these tests may hold a download up for so long by far. */
const GIVE_UP_MS = 8_000

/** The shape that the checks run in: the same situations, smaller. */
export const isSmall = process.env['IOEX_SHAPE'] === 'small'

export interface SeedProcess {
  readonly peerId: string
  readonly source: Source
  readonly pid: number
  /** Of those who were let in, by PeerId. */
  readonly passes: Readonly<Record<string, Pass>>
  /** With `collect` after a full collection, for which it has to run with --expose-gc. */
  figures(options?: { readonly collect: boolean }): Promise<SeedFigures>
  /** SIGKILL; resolves when it is gone. */
  kill(): Promise<void>
  /** Starts it again where it was, on other ports. */
  restart(): Promise<void>
}

export type SeedSettings = Pick<
  SeedTask,
  'misbehaviour' | 'maxUploadBytesPerSecond' | 'admitted'
> & {
  readonly execArgv?: readonly string[]
}

export interface Fetched {
  readonly report: FetchReport
  readonly home: string
  readonly device: IoexNode
  /** Until the last block; the end of a session waits for acknowledgements. */
  readonly ms: number
  /** Between two verified blocks, the start counting as one. */
  readonly longestGapMs: number
  of(seed: SeedProcess): FetchReport['sources'][number] | undefined
}

export interface FetchHooks {
  readonly onBlock?: (blocks: number, report: FetchReport) => void
  /** A device that has fetched before; default: a new one. */
  readonly device?: IoexNode
  readonly wires?: readonly Wire[]
}

export async function createLab() {
  const home = await mkdtemp(join(tmpdir(), 'ioex-attack-'))
  const vendorSeed = generateSeed(systemRandom)
  const vendor = createIdentity(vendorSeed)
  const children = new Set<ChildProcess>()
  const devices = new Set<IoexNode>()
  let count = 0

  const start = async (task: SeedTask, execArgv: readonly string[]) => {
    const child = fork(join(import.meta.dirname, 'seed-process.ts'), [JSON.stringify(task)], {
      execArgv: [...execArgv],
    })
    children.add(child)
    child.once('exit', () => children.delete(child))
    const { ready } = await nextMessage<{
      ready: {
        peerId: string
        http: string
        multiaddrs: string[]
        passes: Record<string, Pass>
      }
    }>(child, 'ready')
    return { child, ready }
  }

  return {
    vendorSeedHex: vendorSeed.toHex(),
    async seed(tree: TreeTask, settings: SeedSettings = {}): Promise<SeedProcess> {
      const { execArgv = [], ...rest } = settings
      const task: SeedTask = {
        home: join(home, `seed-${count++}`),
        seedHex: generateSeed(systemRandom).toHex(),
        vendor: vendor.evmAddress,
        tree,
        ...rest,
      }
      let { child, ready } = await start(task, execArgv)
      return {
        peerId: ready.peerId,
        get source() {
          const { peerId, http, multiaddrs } = ready
          return {
            peerId: peerIdFromString(peerId),
            http,
            multiaddrs: multiaddrs.map((text) => multiaddr(text)),
          }
        },
        get passes() {
          return ready.passes
        },
        get pid() {
          return child.pid ?? 0
        },
        async figures(options = { collect: false }) {
          const answer = nextMessage<{ figures: SeedFigures }>(child, 'figures')
          child.send({ figures: options })
          return (await answer).figures
        },
        async kill() {
          if (child.exitCode !== null || child.signalCode !== null) return
          const gone = once(child, 'exit')
          child.kill('SIGKILL')
          await gone
        },
        async restart() {
          ;({ child, ready } = await start(task, execArgv))
        },
      }
    },
    async device(): Promise<IoexNode & { readonly home: string }> {
      const folder = join(home, `device-${count++}`)
      const node = await createNode(
        { identity: createIdentity(generateSeed(systemRandom)), log: silentLog },
        {
          home: folder,
          role: 'device',
          nospam: () => new Uint8Array(4),
          networkFile: emptyNetworkFile(),
          listen: [],
          quotaBytes: GIB,
          acceptPins: false,
        },
      )
      devices.add(node)
      return Object.assign(node, { home: folder })
    },
    grant: (device: EvmAddress, tree: Tree, maxBytes = 3 * tree.bytes + MIB) =>
      grantOf(vendor, device, tree, maxBytes),
    /** A new device fetches the tree from the seeds, and everything is read from its disk again. */
    async fetch(
      tree: Tree,
      seeds: readonly SeedProcess[],
      hooks: FetchHooks = {},
    ): Promise<Fetched> {
      const device = hooks.device ?? (await this.device())
      const startedMs = performance.now()
      let lastMs = startedMs
      let longestGapMs = 0
      let latest: FetchReport | undefined
      const report = await device.exchange.fetchAndPin({
        root: tree.root,
        sources: seeds.map(({ source }) => source),
        grant: this.grant(device.identity.evmAddress, tree),
        owner: { owner: 'install' },
        giveUpAfterMs: GIVE_UP_MS,
        ...(hooks.wires === undefined ? {} : { wires: hooks.wires }),
        onProgress: (now) => {
          latest = now
        },
        onBlock: ({ blocks }) => {
          const nowMs = performance.now()
          longestGapMs = Math.max(longestGapMs, nowMs - lastMs)
          lastMs = nowMs
          if (latest !== undefined) hooks.onBlock?.(blocks, latest)
        },
      })
      return {
        report,
        device,
        home: (device as IoexNode & { home: string }).home,
        ms: lastMs - startedMs,
        longestGapMs,
        of: (seed) => report.sources.find(({ peerId }) => peerId === seed.peerId),
      }
    },
    /** Stops the device and reads every block of the tree from its disk, with a hash of our own. */
    async checkDisk({ device, home: folder }: Pick<Fetched, 'device' | 'home'>, tree: Tree) {
      devices.delete(device)
      await device.stop()
      const storage = createStorage(
        { clock: systemClock, log: silentLog },
        { folder: join(folder, 'storage'), quotaBytes: GIB },
      )
      await storage.start()
      try {
        const pin = await storage.pins.get(tree.root)
        assert.equal(pin?.blocks, tree.blocks.length)
        for await (const cid of storage.pins.blocks(tree.root)) {
          const bytes = await storage.blocks.get(cid)
          assert.ok(bytes !== undefined, `${cid.toString()} is missing or damaged`)
          const digest = createHash('sha256').update(bytes).digest('hex')
          assert.equal(digest, cid.multihash.digest.toHex())
        }
        for (const { cid, bytes } of tree.blocks) {
          assert.deepEqual(await storage.blocks.get(cid), bytes)
        }
      } finally {
        await storage.stop()
      }
    },
    async stop() {
      for (const child of children) child.kill('SIGKILL')
      for (const device of devices) await device.stop()
      await rm(home, { recursive: true, force: true })
    },
  }
}
export type Lab = Awaited<ReturnType<typeof createLab>>

export function treeTask(name: string, mib: number, chunkBytes = 64 * 1024): TreeTask {
  return { name, chunks: (mib * MIB) / chunkBytes, chunkBytes }
}

export { treeOf }

export function grantOf(
  vendor: ReturnType<typeof createIdentity>,
  device: EvmAddress,
  tree: Pick<Tree, 'root'>,
  maxBytes: number,
): SignedGrant {
  const now = unixSeconds(systemClock)
  return signGrant(vendor, emptyNetworkFile().ledger, {
    vendor: vendor.evmAddress,
    device,
    root: toHex(tree.root.multihash.digest),
    deltaRoot: toHex(new Uint8Array(32)),
    maxBytes: BigInt(maxBytes),
    service: serviceId('ioex/bandwidth'),
    priceVersion: 1,
    notBefore: now - 60,
    notAfter: now + 3600,
    serial: 1n,
  })
}

/** The next message of a child that has this member; rejects when it ends before. */
export async function nextMessage<T>(child: ChildProcess, member: string): Promise<T> {
  const ended = new AbortController()
  const fail = () => ended.abort(new Error(`a process ended before it said ${member}`))
  child.once('exit', fail)
  try {
    for (;;) {
      const [message] = (await once(child, 'message', { signal: ended.signal })) as [object]
      if (member in message) return message as T
    }
  } finally {
    child.off('exit', fail)
  }
}
