/** What `bootstrap`, `seed` and `peer` have in common: one node, one ready line, a clean stop. */
import { peerIdFromString } from '@libp2p/peer-id'
import {
  type Clock,
  createLog,
  type Log,
  type Startable,
  systemRandom,
  tuneForBulk,
} from '../base/index.ts'
import type { Bootstrap, IoexNode } from '../create-node.ts'
import type { Keystore } from '../identity/index.ts'
import type { NetworkFile } from '../network/index.ts'
import type { Call } from './command.ts'
import { type ControlMethods, startControl } from './control.ts'
import { friendMethods } from './friend-methods.ts'
import { homeFolder, homeOption } from './home.ts'
import { openOrCreateHomeKeystore, passphraseOption } from './home-keystore.ts'
import { loadNetworkFile, networkFileOptions } from './network-file.ts'
import {
  fromEnv,
  hostAndPort,
  httpUrl,
  many,
  readSecret,
  size,
  text,
  value,
  withDefault,
} from './options.ts'
import { uploadCaps, uploadOptions, type UploadValues } from './upload-options.ts'

/** A share of a disk of today that nobody misses; enough for a hundred releases. */
const DEFAULT_SPACE = 20e9

export const nodeOptions = {
  home: homeOption,
  passphraseFile: passphraseOption,
  ...networkFileOptions,
  listen: many('--listen MULTIADDR', 'where to listen, such as /ip4/0.0.0.0/tcp/4001'),
  announce: many('--announce MULTIADDR', 'what to tell others instead, behind a port forward'),
}

export const storingOptions = {
  ...nodeOptions,
  httpListen: value(
    '--http-listen HOST:PORT',
    'where others show a grant or a pairing message, and fetch over HTTP; over libp2p only when left out',
    hostAndPort,
  ),
  httpAnnounce: value(
    '--http-announce URL',
    'what to tell others instead, behind a port forward',
    httpUrl,
  ),
  pairingCodeFile: text(
    '--pairing-code-file FILE',
    'file with a code that makes its holder a friend at once (or IOEX_PAIRING_CODE)',
  ),
  space: withDefault(fromEnv(value('--space SIZE', 'disk for blocks', size), 'IOEX_SPACE'), 20e9),
  gateway: fromEnv(
    value('--gateway URL', 'who takes the receipts and lists this node', httpUrl),
    'IOEX_GATEWAY',
  ),
  region: text('--region CODE', 'country code, to be shown on the public map; not shown without'),
  ...uploadOptions,
}

const DEFAULT_LISTEN = '/ip4/0.0.0.0/tcp/4001'

export interface NodeValues extends UploadValues {
  readonly home: string | undefined
  readonly passphraseFile: string | undefined
  readonly network: string | undefined
  readonly operator: string | undefined
  readonly listen: readonly string[]
  readonly announce: readonly string[]
  readonly httpListen?: { readonly host: string; readonly port: number } | undefined
  readonly httpAnnounce?: string | undefined
  readonly pairingCodeFile?: string | undefined
  readonly space?: number
  readonly gateway?: string | undefined
  readonly region?: string | undefined
}

/** Runs until it is interrupted; resolves after a clean stop. */
export async function runNode(
  role: 'bootstrap' | 'seed' | 'peer',
  { options, say, system, signal, debug }: Call<NodeValues, unknown>,
): Promise<undefined> {
  tuneForBulk()
  const home = homeFolder(options.home, system.env)
  const { keystore, created } = await openOrCreateHomeKeystore({ ...options, home, system })
  if (created) say.note(`Made a new identity in ${home}.`)
  const networkFile = await loadNetworkFile(home, options, system.clock)
  const pairingCode = await readSecret(
    { file: options.pairingCodeFile, env: system.env.IOEX_PAIRING_CODE },
    system.stdin,
  )
  const log = createLog({ name: `ioex-${role}`, level: debug ? 'debug' : 'warn' })
  const parts: Pick<Startable, 'stop'>[] = []
  try {
    const methods: Record<string, ControlMethods[string]> = {}
    // First of all, as it is what keeps a second node out of this home.
    parts.unshift(await startControl(home, methods))
    const node = await startNode(role, options, { home, keystore, networkFile, pairingCode, log })
    parts.unshift(node)
    if ('friends' in node) {
      Object.assign(methods, friendMethods(node.friends))
      befriendGateways(node, networkFile)
      parts.unshift(await driveOf(node, { clock: system.clock, log }))
      if (options.gateway !== undefined) {
        const duties = await dutiesOf(node, options.gateway, options, { clock: system.clock, log })
        await duties.start()
        parts.unshift(duties)
      }
    }
    say.event(readyLine(role, home, keystore, node))
    await untilAborted(signal)
  } finally {
    for (const part of parts) await part.stop()
  }
  say.note('Stopped.')
  return undefined
}

/** The seeds of a network file belong to its operator, so his gateways are their friends by his hand. */
function befriendGateways(node: IoexNode, networkFile: NetworkFile): void {
  const self = node.identity.peerId.toString()
  if (!networkFile.seeds.some((seed) => seed.peerId === self)) return
  for (const { peerId } of networkFile.announcers) {
    node.friends.add(peerIdFromString(peerId), { name: 'gateway of the network' })
  }
}

/** Answers friends that keep their backups here. */
async function driveOf(
  node: IoexNode,
  { clock, log }: { readonly clock: Clock; readonly log: Log },
) {
  const { createDrive } = await import('../drive/index.ts')
  return createDrive({ ...node, clock, random: systemRandom, log: log.child({ room: 'drive' }) })
}

async function startNode(
  role: 'bootstrap' | 'seed' | 'peer',
  options: NodeValues,
  given: {
    readonly home: string
    readonly keystore: Keystore
    readonly networkFile: NetworkFile
    readonly pairingCode: string | undefined
    readonly log: Log
  },
): Promise<Bootstrap | IoexNode> {
  const { home, keystore, networkFile, pairingCode, log } = given
  // Loaded here, as help and wrong usage need none of it.
  const { createBootstrap, createNode } = await import('../create-node.ts')
  const needs = { identity: keystore.identity, log }
  const base = {
    home,
    networkFile,
    listen: options.listen.length === 0 ? [DEFAULT_LISTEN] : options.listen,
    ...(options.announce.length === 0 ? {} : { announce: options.announce }),
  }
  if (role === 'bootstrap') return createBootstrap(needs, base)
  return createNode(needs, {
    ...base,
    role,
    nospam: () => keystore.nospam,
    quotaBytes: options.space ?? DEFAULT_SPACE,
    acceptPins: true,
    ...(options.httpListen === undefined ? {} : { httpListen: options.httpListen }),
    ...(options.httpAnnounce === undefined ? {} : { httpAnnounce: options.httpAnnounce }),
    ...(pairingCode === undefined ? {} : { pairingCode }),
    ...uploadCaps(options),
  })
}

async function dutiesOf(
  node: IoexNode,
  gateway: string,
  { region }: NodeValues,
  needs: { readonly clock: Clock; readonly log: Log },
) {
  const { createGatewayClient } = await import('../api/index.ts')
  const { createSeedDuties } = await import('../exchange/index.ts')
  return createSeedDuties(
    {
      ...needs,
      book: node.serverBook,
      gateway: createGatewayClient(
        { clock: needs.clock, fetch: (url, init) => fetch(url, init) },
        { gateway },
      ),
      identity: node.identity,
      records: node.storage.records,
      where: () => ({
        multiaddrs: directAddresses(node),
        http: node.network.httpUrl,
      }),
    },
    region === undefined ? {} : { region },
  )
}

function directAddresses(node: Bootstrap): string[] {
  return node.network.addresses().direct.map((address) => address.toString())
}

function readyLine(role: string, home: string, keystore: Keystore, node: Bootstrap | IoexNode) {
  const peerId = node.identity.peerId.toString()
  const multiaddrs = directAddresses(node)
  const knockUrl = 'friends' in node ? node.friends.knockUrl : undefined
  const { contactAddress } = keystore
  const knock = knockUrl === undefined ? '' : `\nKnock at ${knockUrl}`
  return {
    json: { ready: true, role, peerId, multiaddrs, knockUrl, contactAddress, home },
    text: `Working as ${role} ${peerId}\nListening on ${multiaddrs.join(' ')}${knock}\nStop with Ctrl-C.`,
    id: peerId,
  }
}

function untilAborted(signal: AbortSignal): Promise<void> {
  return new Promise((resume) => {
    if (signal.aborted) resume()
    else signal.addEventListener('abort', () => resume(), { once: true })
  })
}
