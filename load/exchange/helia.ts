/** Stock Helia with its bitswap and its file store, on the same blocks. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { FsBlockstore } from 'blockstore-fs'
import { eachBlock } from './content.ts'
import type { FetchTask } from './helia-receiver.ts'
import type { ServeTask } from './helia-sender.ts'
import { go, measured, type Prepare, type Rig, runFolder, startNode } from './rig.ts'
import type { RunFigures } from './types.ts'

const PACKAGES = ['helia', '@helia/bitswap', 'blockstore-fs']

export const helia: Prepare = async (rig) => {
  rig.say('helia-bitswap: laying the blocks into its store')
  const store = join(rig.folder, 'helia-sender')
  const blockstore = new FsBlockstore(store)
  await blockstore.open()
  await eachBlock(rig.content, async ({ cid, bytes }) => {
    await blockstore.put(cid, bytes)
  })
  await blockstore.close()
  return {
    ok: true,
    value: {
      version: await versions(),
      durability: 'blockstore-fs never syncs; one sync of the file system at the end is counted',
      note: 'the same blocks, one session with the sender; TCP, noise, yamux',
      run: () => transfer(rig, store),
    },
  }
}

async function transfer(rig: Rig, store: string): Promise<RunFigures> {
  const serve: ServeTask = { store }
  const sender = startNode(rig, 'helia-sender.ts', serve)
  const { multiaddrs } = JSON.parse(await sender.line()) as { multiaddrs: readonly string[] }
  const fetch: FetchTask = {
    store: join(runFolder(rig), 'blocks'),
    root: rig.content.root.toString(),
    multiaddrs,
  }
  const receiver = startNode(rig, 'helia-receiver.ts', fetch)
  await receiver.line()
  return measured({ sender, receiver }, () => go(receiver, rig.content.blockBytes))
}

/** They are pinned exactly. */
async function versions(): Promise<string> {
  const file = await readFile(join(import.meta.dirname, '../package.json'), 'utf8')
  const { devDependencies } = JSON.parse(file) as { devDependencies: Record<string, string> }
  return PACKAGES.map((name) => `${name} ${devDependencies[name] ?? '?'}`).join(', ')
}
