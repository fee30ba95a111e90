import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { after, test } from 'node:test'
import { createNode, type IoexNode } from '@ioex/node'
import { KIB, MIB, silentLog, systemClock, systemRandom, toHex, unixSeconds } from '@ioex/node/base'
import type { FetchReport } from '@ioex/node/exchange'
import { createIdentity, generateSeed } from '@ioex/node/identity'
import {
  grantId,
  type SignedGrant,
  serviceId,
  signedGrantToJson,
  signGrant,
} from '@ioex/node/receipts'
import { emptyNetworkFile, makeTree, type Tree } from '@ioex/node/testing'
import type { DeviceTask } from './exchange-device.ts'

const home = await mkdtemp(join(tmpdir(), 'ioex-crash-'))
const vendor = createIdentity(generateSeed(systemRandom))
const nodes: IoexNode[] = []
const children = new Set<ChildProcess>()
after(async () => {
  for (const child of children) child.kill('SIGKILL')
  for (const node of nodes) await node.stop()
  await rm(home, { recursive: true, force: true })
})

async function startSeed(tree: Tree, maxUploadBytesPerSecond: number): Promise<IoexNode> {
  const node = await createNode(
    { identity: createIdentity(generateSeed(systemRandom)), log: silentLog },
    {
      home: join(home, `seed-${nodes.length}`),
      role: 'seed',
      nospam: () => new Uint8Array(4),
      networkFile: emptyNetworkFile(),
      listen: ['/ip4/127.0.0.1/tcp/0'],
      httpListen: { host: '127.0.0.1', port: 0 },
      quotaBytes: 128 * MIB,
      acceptPins: false,
      maxUploadBytesPerSecond,
    },
  )
  nodes.push(node)
  const pin = await node.storage.pins.open(tree.root)
  await pin.add(tree.blocks)
  await pin.commit({ owner: 'order:test' })
  const until = unixSeconds(systemClock) + 3600
  node.serverBook.trust(toHex(tree.root.multihash.digest), [vendor.evmAddress], until)
  return node
}

function grantFor(device: ReturnType<typeof createIdentity>, tree: Tree): SignedGrant {
  const now = unixSeconds(systemClock)
  return signGrant(vendor, emptyNetworkFile().ledger, {
    vendor: vendor.evmAddress,
    device: device.evmAddress,
    root: toHex(tree.root.multihash.digest),
    deltaRoot: toHex(new Uint8Array(32)),
    maxBytes: BigInt(Math.ceil(1.1 * tree.bytes) + MIB),
    service: serviceId('ioex/bandwidth'),
    priceVersion: 1,
    notBefore: now - 60,
    notAfter: now + 3600,
    serial: 1n,
  })
}

function taskFor(seeds: readonly IoexNode[], tree: Tree, name: string) {
  const seed = generateSeed(systemRandom)
  const grant = grantFor(createIdentity(seed), tree)
  const task: DeviceTask = {
    home: join(home, name),
    seedHex: seed.toHex(),
    root: tree.root.toString(),
    grant: signedGrantToJson(grant),
    sources: seeds.map(({ identity, network }) => ({
      peerId: identity.peerId.toString(),
      multiaddrs: [],
      http: network.httpUrl ?? '',
    })),
  }
  return { task, grant }
}

/** Runs the device until it is done, or until `isEnough` has it killed. */
async function runDevice(task: DeviceTask, isEnough: (blocks: number) => boolean) {
  const child = spawn(
    process.execPath,
    [join(import.meta.dirname, 'exchange-device.ts'), JSON.stringify(task)],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  )
  children.add(child)
  let blocks = 0
  let report: FetchReport | undefined
  for await (const line of createInterface(child.stdout)) {
    const said = JSON.parse(line) as { blocks?: number; report?: FetchReport }
    blocks = said.blocks ?? blocks
    report = said.report ?? report
    if (report === undefined && isEnough(blocks)) child.kill('SIGKILL')
  }
  children.delete(child)
  return { blocks, report }
}

const never = () => false
/** A busy machine makes seeds look slow. */
const MAX_HEDGED = 16

test('a device killed in mid-download goes on from its disk', { timeout: 90_000 }, async () => {
  const tree = makeTree(512, 64 * KIB)
  const seeds = [await startSeed(tree, 24 * MIB), await startSeed(tree, 24 * MIB)]
  const { task, grant } = taskFor(seeds, tree, 'device')
  const first = await runDevice(task, (blocks) => blocks > 150)
  assert.equal(first.report, undefined, 'it was done before it could be killed')
  const second = await runDevice(task, (blocks) => blocks > 350)
  const { report } = await runDevice(task, never)
  assert.ok(report !== undefined)
  assert.ok(second.blocks > first.blocks)
  // Every block that it said it had is not fetched again.
  assert.ok(report.reusedBlocks >= second.blocks, `${report.reusedBlocks} of ${second.blocks}`)
  // What a slow seed owed and another one sent as well was fetched twice.
  const twice = report.reusedBlocks + report.fetchedBlocks - tree.blocks.length
  assert.ok(twice >= 0 && twice <= MAX_HEDGED, `${twice} blocks came twice`)
  const sent = seeds.reduce((sum, seed) => sum + seed.exchange.served().bytes, 0)
  assert.ok(sent <= tree.bytes + 2 * 8 * MIB, `${sent} bytes were sent for ${tree.bytes}`)
  const paid = seeds.reduce(
    (sum, seed) => sum + Number(seed.serverBook.receiptedBytes(grantId(grant.message))),
    0,
  )
  assert.ok(paid <= sent && paid >= report.fetchedBytes, `${paid} of ${sent} were paid`)
})

test('with a seed lost in mid-download the other one finishes it within seconds', {
  timeout: 90_000,
}, async () => {
  const tree = makeTree(256, 64 * KIB)
  const seeds = [await startSeed(tree, 4 * MIB), await startSeed(tree, 8 * MIB)]
  const { task } = taskFor(seeds, tree, 'other-device')
  let lost: Promise<void> | undefined
  const { report } = await runDevice(task, (blocks) => {
    if (blocks > 60) lost ??= seeds[1]?.stop()
    return false
  })
  await lost
  assert.ok(report !== undefined)
  assert.ok(report.fetchedBytes <= 1.2 * tree.bytes)
})
