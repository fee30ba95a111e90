import { type Multiaddr, multiaddr } from '@multiformats/multiaddr'
import { peerIdFromString } from '@libp2p/peer-id'
import { type Datastore, Key } from 'interface-datastore'
import { z } from 'zod'
import { codeOf, fromUtf8, utf8 } from '../base/index.ts'
import { isCircuit, withPeer } from './addresses.ts'
import type { NetworkFile } from './types.ts'

const TABLE_KEY = new Key('/ioex/bootstraps')
/** Addresses kept per bootstrap beside those of the network file. */
const MAX_REMEMBERED = 4

const stored = z.record(z.string(), z.array(z.string()).max(MAX_REMEMBERED))

export interface BootstrapTable {
  ids(): readonly string[]
  /** Of the network file, then those that worked before; each ends in the bootstrap's PeerId. */
  addresses(id: string): Multiaddr[]
  /** An address that worked, kept for next time. */
  remember(id: string, address: Multiaddr): Promise<void>
}

/** Where the bootstraps are: who they are is the network file's alone to say. */
export async function openBootstrapTable(
  datastore: Datastore,
  bootstraps: NetworkFile['bootstraps'],
): Promise<BootstrapTable> {
  const remembered = new Map<string, string[]>()
  for (const [id, addresses] of Object.entries(await load(datastore))) remembered.set(id, addresses)

  return {
    ids: () => bootstraps.map(({ peerId }) => peerId),
    addresses(id) {
      const listed = bootstraps.find(({ peerId }) => peerId === id)?.multiaddrs ?? []
      const peer = peerIdFromString(id)
      const all = [...listed, ...(remembered.get(id) ?? [])]
      return [...new Set(all)].map((text) => withPeer(multiaddr(text), peer))
    },
    async remember(id, address) {
      const text = address.toString()
      const known = remembered.get(id) ?? []
      // The file's own are remembered too: the next file may list none, or older ones.
      if (isCircuit(address) || known[0] === text) return
      remembered.set(id, [text, ...known.filter((one) => one !== text)].slice(0, MAX_REMEMBERED))
      await datastore.put(TABLE_KEY, utf8(JSON.stringify(Object.fromEntries(remembered))))
    },
  }
}

async function load(datastore: Datastore): Promise<Record<string, string[]>> {
  if (!(await datastore.has(TABLE_KEY))) return {}
  try {
    return stored.parse(JSON.parse(fromUtf8(await datastore.get(TABLE_KEY))))
  } catch (thrown) {
    // A damaged table costs a few dials; it is written anew with the next connection.
    if (codeOf(thrown) !== undefined) throw thrown
    return {}
  }
}
