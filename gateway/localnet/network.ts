import { mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Anvil, startAnvil } from '../../contracts-bridge/deploy/anvil.ts'
import { deployAll } from '../../contracts-bridge/deploy/deploy-all.ts'
import { type Deployment, DeploymentSchema } from '../../contracts-bridge/deploy/deployment.ts'
import {
  codeOf,
  createLog,
  stopAll,
  systemClock,
  systemRandom,
  writeFileDurably,
} from '@ioex/node/base'
import type { Identity, Keystore } from '@ioex/node/identity'
import { type NetworkFile, signNetworkFile } from '@ioex/node/network'
import { keepIdentity } from './identities.ts'
import { keepPorts } from './ports.ts'
import { type ProcessPlan, type Running, startProcess } from './processes.ts'

/** anvil's own; the domain of every signature of this network. */
const CHAIN_ID = 31_337
/**
 * First account of every development chain in the world (the mnemonic of `test … junk`), so it protects nothing:
 * deployer, treasury and the bridge's purse of a chain that never leaves this machine.
 */
const TREASURY_KEY = '0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80'
/** The second account: the bridge's purse, so that its transactions and the treasury's do not share a nonce. */
const BRIDGE_KEY = '0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d'
/** The network file of a local network is signed anew at each start. */
const NETWORK_FILE_DAYS = 30
const DAY_MS = 24 * 3600 * 1000
const SEED_SPACE = '20GB'
/** How often the bridge asks for receipts, and how often it settles what has come. */
const PULL_EVERY_MS = 500
const EPOCH_EVERY_MS = 15_000
/** The load of one machine comes from one address; limits per address would be a limit on the whole network. */
const RATE_FACTOR = 1_000

const repository = join(import.meta.dirname, '../..')
const cli = join(repository, 'node/cli/ioex.ts')

/** Where a process of the network runs, such as a network namespace with an address of its own. */
export interface Place {
  /** The IPv4 address it listens on and is reached at. */
  readonly host: string
  readonly inside?: readonly string[]
}

const LOOPBACK: Place = { host: '127.0.0.1' }

export interface LocalNetworkOptions {
  /** Everything that has to survive is here. */
  readonly folder: string
  readonly bootstraps: number
  readonly seeds: number
  /** How often the bridge settles what has come. */
  readonly epochEveryMs?: number
  /** Where bootstraps, seeds and the gateway run and listen, by name; on this machine's loopback when left out. */
  readonly placeOf?: (name: string) => Place
  readonly onStep: (what: string) => void
}

export interface LocalNetwork {
  readonly gatewayUrl: string
  readonly networkFile: string
  /** Holds the code that makes its holder a friend of the seeds at once. */
  readonly pairingCodeFile: string
  readonly operatorToken: string
  readonly deployment: Deployment
  readonly chainUrl: string
  /** Development chain only: pays fees and holds the genesis supply. */
  readonly treasuryKey: `0x${string}`
  readonly bootstraps: readonly Running[]
  readonly seeds: readonly Running[]
  readonly gateway: Running
  readonly bridge: Running
  readonly bridgeUrl: string
  readonly bridgeKey: `0x${string}`
  /** Puts the chain's state on disk now; by itself it does so every second. */
  saveChain(): Promise<void>
  /** In reverse order of the start; the data stays. */
  stop(): Promise<void>
}

/** Starts a whole network with real processes, or the one that is in the folder already. */
export async function startLocalNetwork(options: LocalNetworkOptions): Promise<LocalNetwork> {
  const { folder, placeOf = () => LOOPBACK } = options
  const started: { stop(): Promise<void> }[] = []
  const stop = () => stopAll(started.splice(0))
  const keep = <T extends { stop(): Promise<void> }>(part: T): T => {
    started.unshift(part)
    return part
  }
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 })
    const names = {
      bootstraps: numbered('bootstrap', options.bootstraps),
      seeds: numbered('seed', options.seeds),
    }
    const ports = await keepPorts(folder, [
      'chain',
      'gateway',
      'gateway-p2p',
      'bridge',
      ...names.bootstraps,
      ...names.seeds,
      ...names.seeds.map((name) => `${name}-knock`),
    ])
    const port = (name: string) => ports.get(name) ?? 0
    const multiaddrOf = (name: string) => `/ip4/${placeOf(name).host}/tcp/${port(name)}`

    options.onStep('the development chain and its contracts')
    const anvil = keep(await startChain(folder, port('chain')))
    const deployment = await keepDeployment(folder, anvil, TREASURY_KEY)

    options.onStep('identities and the network file')
    const operator = await keepIdentity(join(folder, 'operator'))
    const gatewayKeys = await keepIdentity(join(folder, 'gateway'))
    const identities = new Map<string, Keystore>()
    for (const name of [...names.bootstraps, ...names.seeds]) {
      identities.set(name, await keepIdentity(join(folder, name)))
    }
    const member = (name: string) => ({
      peerId: identities.get(name)?.identity.peerId.toString() ?? '',
      multiaddrs: [multiaddrOf(name)],
    })
    const networkFile = await writeNetworkFile(folder, operator.identity, {
      deployment,
      bootstraps: names.bootstraps.map(member),
      seeds: names.seeds.map((name) => ({ peerId: member(name).peerId })),
      gateway: gatewayKeys.identity,
    })

    const pairingCodeFile = await keepPairingCode(folder)
    const gatewayListen = `${placeOf('gateway').host}:${port('gateway')}`
    const gatewayUrl = `http://${gatewayListen}`
    const logFolder = join(folder, 'logs')
    const node = (name: string, script: readonly string[]) =>
      startProcess({
        ...insideOf(placeOf(name)),
        name,
        logFolder,
        script: [cli, ...script, '--json'],
      }).then(keep)
    const common = (name: string) => ['--home', join(folder, name), '--network', networkFile]

    options.onStep(`${options.bootstraps} bootstraps`)
    const bootstraps = await Promise.all(
      names.bootstraps.map((name) =>
        node(name, ['bootstrap', ...common(name), '--listen', multiaddrOf(name)]),
      ),
    )

    options.onStep('the gateway')
    const gateway = keep(
      await startProcess({
        ...insideOf(placeOf('gateway')),
        name: 'gateway',
        logFolder,
        script: [
          join(repository, 'gateway/serve.ts'),
          ...['--home', join(folder, 'gateway'), '--network-file', networkFile],
          ...['--operator', operator.identity.evmAddress],
          ...['--listen', gatewayListen],
          ...['--p2p-listen', `/ip4/${placeOf('gateway').host}/tcp/${port('gateway-p2p')}`],
          ...['--copies', String(options.seeds), '--rate-factor', String(RATE_FACTOR)],
        ],
      }),
    )
    options.onStep(`${options.seeds} seeds`)
    const seeds = await Promise.all(
      names.seeds.map((name) =>
        node(name, [
          ...['seed', ...common(name), '--listen', multiaddrOf(name)],
          ...['--http-listen', `${placeOf(name).host}:${port(`${name}-knock`)}`],
          ...['--space', SEED_SPACE, '--gateway', gatewayUrl],
          ...['--pairing-code-file', pairingCodeFile],
        ]),
      ),
    )

    options.onStep('the bridge')
    const bridgeUrl = `http://127.0.0.1:${port('bridge')}`
    const bridgeConfig = join(folder, 'bridge', 'config.json')
    await writeFileDurably(
      bridgeConfig,
      JSON.stringify({
        gateway: gatewayUrl,
        rpcUrl: anvil.url,
        deployment,
        folder: join(folder, 'bridge'),
        port: port('bridge'),
        pullEveryMs: PULL_EVERY_MS,
        epochEveryMs: options.epochEveryMs ?? EPOCH_EVERY_MS,
        // A development chain makes a block for each transaction and none after it.
        confirmations: 1,
      }),
    )
    const tokenOf = (name: string) => readFile(join(folder, 'gateway', `${name}.token`), 'utf8')
    const bridge = keep(
      await startProcess({
        name: 'bridge',
        logFolder,
        script: [
          join(repository, 'contracts-bridge/bridge/serve.ts'),
          ...['--config', bridgeConfig],
        ],
        environment: {
          IOEX_BRIDGE_KEY: BRIDGE_KEY,
          IOEX_BRIDGE_TOKEN: (await tokenOf('bridge')).trim(),
        },
      }),
    )
    const operatorToken = await tokenOf('operator')
    return {
      gatewayUrl,
      networkFile,
      pairingCodeFile,
      operatorToken: operatorToken.trim(),
      deployment,
      chainUrl: anvil.url,
      treasuryKey: TREASURY_KEY,
      bootstraps,
      seeds,
      gateway,
      bridge,
      bridgeUrl,
      bridgeKey: BRIDGE_KEY,
      saveChain: () => anvil.save(),
      stop,
    }
  } catch (thrown) {
    await stop()
    throw thrown
  }
}

export function insideOf({ inside }: Place): Pick<ProcessPlan, 'inside'> {
  return inside === undefined ? {} : { inside }
}

async function keepPairingCode(folder: string): Promise<string> {
  const path = join(folder, 'pairing-code')
  try {
    await readFile(path)
  } catch (thrown) {
    if (codeOf(thrown) !== 'ENOENT') throw thrown
    await writeFileDurably(path, systemRandom.bytes(16).toHex(), { mode: 0o600 })
  }
  return path
}

function numbered(name: string, count: number): string[] {
  return Array.from({ length: count }, (_, at) => `${name}-${at + 1}`)
}

function startChain(folder: string, port: number): Promise<Anvil> {
  return startAnvil(
    { port, chainId: CHAIN_ID, stateFile: join(folder, 'chain.state') },
    { clock: systemClock, log: createLog({ name: 'chain', level: 'warn' }) },
  )
}

/** The contracts are put on the chain once; from then on their addresses are data. */
async function keepDeployment(
  folder: string,
  anvil: Anvil,
  deployerKey: `0x${string}`,
): Promise<Deployment> {
  const path = join(folder, 'deployment.json')
  try {
    return DeploymentSchema.parse(JSON.parse(await readFile(path, 'utf8')))
  } catch (thrown) {
    if (codeOf(thrown) !== 'ENOENT') throw thrown
  }
  const deployment = await deployAll({ rpcUrl: anvil.url, chainId: CHAIN_ID, deployerKey })
  await anvil.save()
  await writeFileDurably(path, JSON.stringify(deployment, null, 2))
  return deployment
}

async function writeNetworkFile(
  folder: string,
  operator: Identity,
  members: {
    readonly deployment: Deployment
    readonly bootstraps: NetworkFile['bootstraps']
    readonly seeds: NetworkFile['seeds']
    readonly gateway: Identity
  },
): Promise<string> {
  const { deployment, bootstraps, seeds, gateway } = members
  const nowMs = systemClock.nowMs()
  const signed = signNetworkFile(operator, {
    version: Math.floor(nowMs / 1000),
    issuedAt: new Date(nowMs).toISOString(),
    expires: new Date(nowMs + NETWORK_FILE_DAYS * DAY_MS).toISOString(),
    ledger: {
      chainId: deployment.chainId,
      verifyingContract: deployment.settlement,
      token: deployment.token,
      gas: deployment.gas,
    },
    prices: deployment.prices,
    bootstraps,
    seeds,
    announcers: [{ peerId: gateway.peerId.toString(), signer: gateway.evmAddress }],
  })
  const path = join(folder, 'network.json')
  await writeFileDurably(path, JSON.stringify(signed, null, 2))
  return path
}
