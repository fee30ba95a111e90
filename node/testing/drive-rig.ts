import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { GIB, silentLog, systemClock, systemRandom } from '../base/index.ts'
import { type Bootstrap, createBootstrap, createNode, type IoexNode } from '../create-node.ts'
import { createDrive, type Drive } from '../drive/index.ts'
import { createIdentity, generateSeed, type Identity } from '../identity/index.ts'
import type { NetworkFile } from '../network/index.ts'
import { emptyNetworkFile } from './local-network.ts'

const LOOPBACK = ['/ip4/127.0.0.1/tcp/0']

export interface DrivePerson {
  readonly identity: Identity
  readonly home: string
  readonly node: IoexNode
  readonly drive: Drive
  stop(): Promise<void>
}

export interface DriveRig {
  /** A node as `ioex peer` runs it; the same identity and home are the same node after a restart. */
  person(given?: {
    readonly identity?: Identity
    readonly home?: string
    readonly quotaBytes?: number
  }): Promise<DrivePerson>
  befriend(one: DrivePerson, other: DrivePerson): void
  /** An empty folder that goes with the rig. */
  folder(name: string): Promise<string>
  stop(): Promise<void>
}

/** A bootstrap and whole nodes with real stores on 127.0.0.1, in one process. */
export async function createDriveRig(): Promise<DriveRig> {
  const parent = await mkdtemp(join(tmpdir(), 'ioex-drive-'))
  const running = new Set<{ stop(): Promise<void> }>()
  let count = 0
  const folder = (name: string) => mkdtemp(join(parent, `${count++}-${name}-`))

  const identity = createIdentity(generateSeed(systemRandom))
  const bootstrap: Bootstrap = await createBootstrap(
    { identity, log: silentLog },
    { home: await folder('bootstrap'), networkFile: emptyNetworkFile(), listen: LOOPBACK },
  )
  running.add(bootstrap)
  const multiaddrs = bootstrap.network.addresses().direct.map((address) => address.toString())
  const networkFile: NetworkFile = {
    ...emptyNetworkFile(),
    bootstraps: [{ peerId: identity.peerId.toString(), multiaddrs }],
  }
  return {
    async person(given = {}) {
      const own = given.identity ?? createIdentity(generateSeed(systemRandom))
      const home = given.home ?? (await folder('home'))
      const node = await createNode(
        { identity: own, log: silentLog },
        {
          home,
          networkFile,
          role: 'peer',
          listen: LOOPBACK,
          nospam: () => new Uint8Array([1, 2, 3, 4]),
          quotaBytes: given.quotaBytes ?? GIB,
          acceptPins: true,
        },
      )
      const drive = await createDrive({
        ...node,
        clock: systemClock,
        random: systemRandom,
        log: silentLog,
      })
      const person: DrivePerson = {
        identity: own,
        home,
        node,
        drive,
        async stop() {
          running.delete(person)
          await drive.stop()
          await node.stop()
        },
      }
      running.add(person)
      return person
    },
    befriend(one, other) {
      const know = (who: DrivePerson, whom: DrivePerson) =>
        who.node.friends.add(whom.identity.peerId, {
          name: whom.identity.peerId.toString().slice(-8),
          multiaddrs: whom.node.network.addresses().direct,
        })
      know(one, other)
      know(other, one)
    },
    folder,
    async stop() {
      for (const each of [...running].reverse()) await each.stop()
      await rm(parent, { recursive: true, force: true })
    },
  }
}
