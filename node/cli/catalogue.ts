import manifest from '../package.json' with { type: 'json' }
import type { CatalogueEntry, Program } from './command.ts'
import { createExternalCommands } from './external.ts'

/** Only what help and suggestions need stands here; a command is loaded when it is called. */
const CATALOGUE: readonly CatalogueEntry[] = [
  {
    name: 'bootstrap',
    summary: 'run a bootstrap node',
    load: () => import('./commands/bootstrap.ts'),
  },
  {
    name: 'seed',
    summary: 'run a seed: keep and serve releases, earn for it',
    load: () => import('./commands/seed.ts'),
  },
  {
    name: 'peer',
    summary: 'run a peer of your own',
    load: () => import('./commands/peer.ts'),
  },
  {
    name: 'id',
    summary: 'show who this node is',
    load: () => import('./commands/id.ts'),
  },
  {
    name: 'id create',
    summary: 'make an identity, or bring one back from its words',
    load: () => import('./commands/id-create.ts'),
  },
  {
    name: 'id address',
    summary: 'the address to give to friends, or a new one',
    load: () => import('./commands/id-address.ts'),
  },
  {
    name: 'device enroll',
    summary: 'join a fleet with a code',
    load: () => import('./commands/device-enroll.ts'),
  },
  {
    name: 'device run',
    summary: 'fetch and install what is new',
    load: () => import('./commands/device-run.ts'),
  },
  {
    name: 'device install',
    summary: 'install a release from one file, without a network',
    load: () => import('./commands/device-install.ts'),
  },
  {
    name: 'device ddi',
    summary: "offer releases to an unmodified client of hawkBit's DDI",
    load: () => import('./commands/device-ddi.ts'),
  },
  {
    name: 'device boot-count',
    summary: 'for boot scripts: count a boot that is not confirmed yet',
    load: () => import('./commands/device-boot-count.ts'),
  },
  {
    name: 'device status',
    summary: 'what runs here and why it waits',
    load: () => import('./commands/device-status.ts'),
  },
  {
    name: 'backup init',
    summary: 'make the key of your backups, or bring it back',
    load: () => import('./commands/backup-init.ts'),
  },
  {
    name: 'backup push',
    summary: 'back up a folder to your friends',
    load: () => import('./commands/backup-push.ts'),
  },
  {
    name: 'backup list',
    summary: 'the snapshots that there are',
    load: () => import('./commands/backup-list.ts'),
  },
  {
    name: 'backup restore',
    summary: 'bring a snapshot back',
    load: () => import('./commands/backup-restore.ts'),
  },
  {
    name: 'backup check',
    summary: 'let friends prove that they still have it',
    load: () => import('./commands/backup-check.ts'),
  },
  {
    name: 'backup prune',
    summary: 'forget old snapshots',
    load: () => import('./commands/backup-prune.ts'),
  },
  {
    name: 'friend address',
    summary: 'the address to give to friends',
    load: () => import('./commands/friend-address.ts'),
  },
  {
    name: 'friend request',
    summary: 'ask somebody for friendship',
    load: () => import('./commands/friend-request.ts'),
  },
  {
    name: 'friend accept',
    summary: 'accept who has asked',
    load: () => import('./commands/friend-accept.ts'),
  },
  {
    name: 'friend list',
    summary: 'friends, and who has asked',
    load: () => import('./commands/friend-list.ts'),
  },
  {
    name: 'friend remove',
    summary: 'end a friendship, or decline',
    load: () => import('./commands/friend-remove.ts'),
  },
  {
    name: 'tuf',
    summary: 'fetch from a TUF repository, as the conformance suite asks for it',
    load: () => import('./commands/tuf.ts'),
  },
]

export function createProgram(env: Readonly<Record<string, string | undefined>>): Program {
  return {
    name: 'ioex',
    summary: 'Firmware and backups over a peer-to-peer network that pays those who serve.',
    version: manifest.version,
    catalogue: CATALOGUE,
    external: createExternalCommands({ prefix: 'ioex', here: import.meta.dirname, env }),
  }
}
