/**
 * Kubo with bitswap: two private daemons, on blocks of 64 KiB and on its own of 1 MiB, at which it is fastest.
 *
 * Two ways of fetching, a row each: `cat`, which reads a file in order as most programs do, and `pin add`, which
 * asks for all that a node links to at once and is its fastest way by far (`dag export` is slower than either).
 * On blocks of 64 KiB `pin add` gets the very blocks of the others; `cat` needs a UnixFS file and gets raw leaves.
 */
import { cp } from 'node:fs/promises'
import { join } from 'node:path'
import { systemClock } from '@ioex/node/base'
import { CID } from 'multiformats/cid'
import { z } from 'zod'
import { writeCar } from './car-file.ts'
import { findKubo } from './kubo-binary.ts'
import { initKubo, ipfs, type KuboNeeds, startKubo, storeOf } from './kubo-daemon.ts'
import { measured, type Prepare, type Rig, runFolder } from './rig.ts'
import { syncFileSystem } from './sync.ts'
import type { RunFigures } from './types.ts'

type Blocks = '64kib' | '1mib'
type Fetch = 'cat' | 'pin'

export function kubo(blocks: Blocks, by: Fetch): Prepare {
  return async (rig) => {
    const binary = await findKubo(rig)
    if (!binary.ok) return binary
    const needs = { processes: rig.processes, binary: binary.value }
    const sender = join(rig.folder, `kubo-${blocks}-${by}-sender`)
    const empty = join(rig.folder, `kubo-${blocks}-${by}-receiver`)
    rig.say(`kubo: laying the content into its store (blocks of ${blocks}, for ${by})`)
    for (const repository of [sender, empty]) await initKubo(needs, repository)
    const isSame = blocks === '64kib' && by === 'pin'
    const chunkBytes = blocks === '64kib' ? 65_536 : 1_048_576
    const root = isSame
      ? await importSame(rig, needs, sender)
      : await cut(rig, needs, sender, chunkBytes)
    const what = isSame ? 'the same blocks' : `raw leaves of ${chunkBytes / 1_024} KiB`
    return {
      ok: true,
      value: {
        version: await ipfs(needs, empty, ['version']),
        durability: `${await storeOf(empty)}, as Kubo ships it; one sync of the file system at the end is counted`,
        note: `${what}, fetched by ${by === 'pin' ? 'pin add, its fastest way' : 'cat, as most programs read'}`,
        run: () => transfer(rig, needs, { sender, empty, root, by }),
      },
    }
  }
}

async function importSame(rig: Rig, needs: KuboNeeds, repository: string): Promise<CID> {
  const car = join(rig.folder, 'blocks.car')
  await writeCar(rig.content, car)
  await ipfs(needs, repository, ['dag', 'import', car])
  return rig.content.root
}

async function cut(
  rig: Rig,
  needs: KuboNeeds,
  repository: string,
  chunkBytes: number,
): Promise<CID> {
  const options = ['--quieter', '--raw-leaves', `--chunker=size-${chunkBytes}`, '--cid-version=1']
  return CID.parse(await ipfs(needs, repository, ['add', ...options, rig.content.plainFile]))
}

const repoStat = z.object({ RepoSize: z.number() })

async function transfer(
  rig: Rig,
  needs: KuboNeeds,
  stores: {
    readonly sender: string
    readonly empty: string
    readonly root: CID
    readonly by: Fetch
  },
): Promise<RunFigures> {
  const repository = runFolder(rig)
  await cp(stores.empty, repository, { recursive: true })
  const sender = await startKubo(needs, stores.sender)
  const receiver = await startKubo(needs, repository)
  const [address = ''] = sender.multiaddrs
  await receiver.call('swarm/connect', address)
  const sides = { sender: sender.running, receiver: receiver.running }
  const figures = await measured(sides, async () => {
    const startedMs = systemClock.monotonicMs()
    await receiver.call(stores.by === 'pin' ? 'pin/add' : 'cat', stores.root.toString())
    await syncFileSystem(repository)
    return (systemClock.monotonicMs() - startedMs) / 1_000
  })
  const stat = repoStat.parse(JSON.parse(await receiver.call('repo/stat')))
  if (stat.RepoSize < rig.content.plainBytes) {
    throw new Error(`the receiver has ${stat.RepoSize} bytes of ${rig.content.plainBytes}`)
  }
  return figures
}
