/** What the `backup` commands have in common: a peer of this home for as long as the command runs. */
import { hostname } from 'node:os'
import type { PeerId } from '@libp2p/interface'
import { peerIdFromString } from '@libp2p/peer-id'
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr'
import { asError, codeOf, createLog, type Startable, systemRandom } from '../base/index.ts'
import type { IoexNode } from '../create-node.ts'
import type { Drive, DriveRefusal, Snapshot } from '../drive/index.ts'
import { decodeContactAddress, type Keystore } from '../identity/index.ts'
import type { Call } from './command.ts'
import { startControl } from './control.ts'
import { ExitCode } from './exit-codes.ts'
import { Failure, misuse } from './failure.ts'
import { friendMethods } from './friend-methods.ts'
import { homeFolder, homeOption } from './home.ts'
import { openHomeKeystore, passphraseOption } from './home-keystore.ts'
import { loadNetworkFile, networkFileOptions } from './network-file.ts'
import { fromEnv, httpUrl, many, readSecret, size, text, value, withDefault } from './options.ts'
import { printable } from './say.ts'

export const backupOptions = {
  home: homeOption,
  passphraseFile: passphraseOption,
  ...networkFileOptions,
  listen: many('--listen MULTIADDR', 'where to listen; any free port when left out'),
  space: withDefault(fromEnv(value('--space SIZE', 'disk for blocks', size), 'IOEX_SPACE'), 20e9),
  peer: many(
    '--peer ADDRESS',
    'a friend that keeps the backup: contact address, or multiaddr that ends with /p2p/ID',
  ),
}

export const pairingOptions = {
  pair: many(
    '--pair ADDRESS',
    'become a friend of its owner first; ADDRESS@URL when its knock URL is known',
  ),
  pairingCodeFile: text(
    '--pairing-code-file FILE',
    'file with the code that the others have set, - for standard input (or IOEX_PAIRING_CODE)',
  ),
}

/** Free ports: the command ends soon, and friends are told where it is. */
const DEFAULT_LISTEN = ['/ip4/0.0.0.0/tcp/0']

export interface BackupValues {
  readonly home: string | undefined
  readonly passphraseFile: string | undefined
  readonly network: string | undefined
  readonly operator: string | undefined
  readonly listen: readonly string[]
  readonly space: number
  readonly peer: readonly string[]
  readonly pair?: readonly string[]
  readonly pairingCodeFile?: string | undefined
}

export interface BackupParts {
  readonly home: string
  readonly node: IoexNode
  readonly drive: Drive
}

/** Starts the node, makes the friends that were named, runs `work` and stops everything. `opened`: the key, when it is read already. */
export async function withDrive<T>(
  { options, system, signal, debug, say }: Call<BackupValues, unknown>,
  work: (parts: BackupParts) => Promise<T>,
  opened?: Keystore,
): Promise<T> {
  const home = homeFolder(options.home, system.env)
  const peers = options.peer.map(parsePeer)
  const pairs = (options.pair ?? []).map(parsePair)
  const keystore = opened ?? (await openHomeKeystore({ ...options, home, system }))
  const networkFile = await loadNetworkFile(home, options, system.clock)
  const pairingCode =
    pairs.length === 0
      ? undefined
      : await readSecret(
          { file: options.pairingCodeFile, env: system.env.IOEX_PAIRING_CODE },
          system.stdin,
        )
  const log = createLog({ name: 'ioex-backup', level: debug ? 'debug' : 'error' })
  const parts: Pick<Startable, 'stop'>[] = []
  try {
    parts.unshift(await takeHome(home))
    say.note('Connecting …')
    const [{ createNode }, { createDrive }] = await Promise.all([
      import('../create-node.ts'),
      import('../drive/index.ts'),
    ])
    const node = await createNode(
      { identity: keystore.identity, log },
      {
        home,
        networkFile,
        role: 'peer',
        listen: options.listen.length === 0 ? DEFAULT_LISTEN : options.listen,
        nospam: () => keystore.nospam,
        quotaBytes: options.space,
        acceptPins: false,
      },
    )
    parts.unshift(node)
    const drive = await createDrive({
      ...node,
      clock: system.clock,
      random: systemRandom,
      log: log.child({ room: 'drive' }),
    })
    parts.unshift(drive)
    for (const { peerId, multiaddrs } of peers) {
      node.friends.add(peerId, { name: peerId.toString().slice(-8), multiaddrs })
    }
    for (const pair of pairs) await befriend(node, pair, pairingCode, signal)
    return await work({ home, node, drive })
  } finally {
    for (const part of parts) await part.stop()
  }
}

/** Two processes cannot share a home: one key is one peer. */
async function takeHome(home: string) {
  try {
    return await startControl(home, {})
  } catch (thrown) {
    if (codeOf(thrown) !== 'home-in-use') throw thrown
    throw new Failure('home-in-use', `a node runs in ${home} and holds its key and blocks`, {
      fix: 'Stop it for as long as the backup runs, or back up from another --home.',
      cause: thrown,
    })
  }
}

interface Pair {
  readonly contactAddress: string
  readonly peerId: PeerId
  readonly knockUrl: string | undefined
}

function parsePair(given: string): Pair {
  const at = given.indexOf('@')
  const contactAddress = at < 0 ? given : given.slice(0, at)
  const { peerId } = decodeContactAddress(contactAddress)
  if (at < 0) return { contactAddress, peerId, knockUrl: undefined }
  try {
    return { contactAddress, peerId, knockUrl: httpUrl(given.slice(at + 1)) }
  } catch (thrown) {
    throw misuse(
      'pair-invalid',
      `what stands behind the @ of --pair is no URL: ${asError(thrown).message}`,
      'Write it as ADDRESS@http://192.0.2.7:4180/knock.',
    )
  }
}

function parsePeer(given: string): { readonly peerId: PeerId; readonly multiaddrs: Multiaddr[] } {
  if (!given.startsWith('/')) return { peerId: decodeContactAddress(given).peerId, multiaddrs: [] }
  try {
    const address = multiaddr(given)
    const id = address.getComponents().findLast(({ name }) => name === 'p2p')?.value
    if (id === undefined) throw new RangeError('it does not end with /p2p/ID')
    return { peerId: peerIdFromString(id), multiaddrs: [address] }
  } catch (thrown) {
    throw misuse(
      'peer-invalid',
      `"${given.slice(0, 200)}" is no address of a peer: ${asError(thrown).message}`,
      'Write it as /ip4/192.0.2.7/tcp/4001/p2p/16Uiu2… or as a contact address.',
    )
  }
}

async function befriend(
  { friends }: IoexNode,
  { contactAddress, peerId, knockUrl }: Pair,
  pairingCode: string | undefined,
  signal: AbortSignal,
): Promise<void> {
  if (friends.list().some((friend) => friend.peerId.equals(peerId))) return
  const request = friendMethods(friends)['friend.request']
  await request?.({ contactAddress, hello: hostname(), pairingCode, knockUrl }, signal)
}

const REFUSALS: Readonly<
  Record<DriveRefusal, readonly [message: string, fix: string, exitCode: ExitCode]>
> = {
  'no-peers': [
    'there is no friend yet who could keep the backup',
    'Make one: add --pair ADDRESS --pairing-code-file FILE, or run ioex peer and ioex friend request.',
    ExitCode.failed,
  ],
  'drive-not-found': [
    'no backup of this key was found',
    'Check the recovery words, or name a friend that keeps it with --peer ADDRESS.',
    ExitCode.failed,
  ],
  'snapshot-unknown': [
    'there is no such snapshot',
    'See which there are:  ioex backup list',
    ExitCode.failed,
  ],
  'peers-unreachable': [
    'none of those who may keep the backup answered',
    'Check the connection, or name a friend with --peer ADDRESS, and run the same command again.',
    ExitCode.unreachable,
  ],
}

export function driveRefusal(reason: DriveRefusal): Failure {
  const [message, fix, exitCode] = REFUSALS[reason]
  return new Failure(reason, message, { fix, exitCode })
}

export function snapshotJson({ id, createdAt, label, files, bytes, sealedBytes }: Snapshot) {
  return { id, createdAt, label, files, bytes, sealedBytes }
}

/** Whole numbers with commas, as people read them. */
export function count(number: number, one: string, several: string): string {
  return `${number.toLocaleString('en-US')} ${number === 1 ? one : several}`
}

/** Names of files may hold anything; at most so many lines for a person. */
const SHOWN_OMISSIONS = 20

export function omissionLines(
  omitted: readonly { readonly path: string; readonly reason: string }[],
  total: number,
): string {
  const lines = omitted
    .slice(0, SHOWN_OMISSIONS)
    .map(({ path, reason }) => `  ${printable(path)}  (${reason})`)
  const rest = total - lines.length
  return [...lines, ...(rest > 0 ? [`  and ${rest.toLocaleString('en-US')} more`] : [])].join('\n')
}
