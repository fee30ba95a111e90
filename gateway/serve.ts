/**
 * The gateway's process: `serve.ts --home FOLDER --network-file FILE --operator 0x…`. Prints one line of JSON
 * on standard output when it answers; everything else goes to the log on standard error. SIGTERM and SIGINT
 * stop it in order; after `kill -9` the next start cleans up and goes on.
 */
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { readFile } from 'node:fs/promises'
import { createNode } from '@ioex/node'
import { SignedNetworkFileSchema } from '@ioex/node/api'
import {
  codeOf,
  createLog,
  IoexError,
  type Log,
  type Startable,
  stopAll,
  systemClock,
  systemRandom,
} from '@ioex/node/base'
import { createKeystore, generateSeed, type Keystore, openKeystore } from '@ioex/node/identity'
import { verifyNetworkFile } from '@ioex/node/network'
import { type GatewayConfig, readConfig } from './config.ts'
import { createGateway } from './create-gateway.ts'
import { loadMasterKey } from './custody/vault.ts'
import { listen } from './listen.ts'
import { openStore } from './store/open.ts'
import { keepTokenFile } from './token-file.ts'

const clock = systemClock
const random = systemRandom

async function serve(config: GatewayConfig, log: Log): Promise<() => Promise<void>> {
  const started: Pick<Startable, 'stop'>[] = []
  const stop = () => stopAll(started.splice(0))
  try {
    const signedFile: unknown = JSON.parse(await readFile(config.networkFile, 'utf8'))
    const networkFile = verifyNetworkFile(signedFile, { operator: config.operator, clock })
    const keystore = await keepIdentity(config.home)
    const masterKey = await loadMasterKey({ random }, config.masterKeyFile)
    const store = await openStore(config.database)
    started.unshift({ stop: () => store.close() })
    const node = await createNode(
      { identity: keystore.identity, log, clock, random },
      {
        role: 'gateway',
        home: join(config.home, 'node'),
        networkFile,
        listen: config.p2pListen,
        ...(config.p2pAnnounce === undefined ? {} : { announce: config.p2pAnnounce }),
        nospam: () => keystore.nospam,
        quotaBytes: config.quotaBytes,
        acceptPins: false,
      },
    )
    started.unshift(node)
    const gateway = createGateway(
      {
        clock,
        random,
        log: log.child({ room: 'gateway' }),
        store,
        masterKey,
        node: {
          ...node,
          networkFile: SignedNetworkFileSchema.parse(signedFile),
          operator: config.operator,
        },
      },
      {
        copiesWanted: config.copiesWanted,
        trustProxy: config.trustProxy,
        rateFactor: config.rateFactor,
        consoleFolder: (await isFolder(config.consoleFolder)) ? config.consoleFolder : undefined,
      },
    )
    const operatorToken = await keepTokenFile({ random }, config.operatorTokenFile, 'o')
    await gateway.tokens.register(operatorToken, { kind: 'operator', name: 'operator' })
    const bridgeToken = await keepTokenFile({ random }, config.bridgeTokenFile, 'b')
    await gateway.tokens.register(bridgeToken, { kind: 'bridge', name: 'bridge' })
    started.unshift(gateway)
    await gateway.start()
    const listener = await listen({ clock }, gateway, config)
    // First of all that is stopped: no new requests while the rest goes down.
    started.unshift(listener)
    const { direct, relayed } = node.network.addresses()
    const ready = {
      ready: true,
      url: listener.url,
      peerId: node.identity.peerId.toString(),
      multiaddrs: [...direct, ...relayed].map(String),
    }
    process.stdout.write(`${JSON.stringify(ready)}\n`)
    log.info({ url: listener.url }, 'the gateway answers')
    return stop
  } catch (thrown) {
    await stop()
    throw thrown
  }
}

async function keepIdentity(home: string): Promise<Keystore> {
  const path = join(home, 'keystore.json')
  const passphrase = process.env['IOEX_PASSPHRASE']
  try {
    return await openKeystore(path, { passphrase })
  } catch (thrown) {
    if (codeOf(thrown) !== 'keystore-missing') throw thrown
  }
  return createKeystore(path, { seed: generateSeed(random), passphrase })
}

async function isFolder(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory()
  } catch (thrown) {
    if (codeOf(thrown) === 'ENOENT') return false
    throw thrown
  }
}

async function main(): Promise<void> {
  const config = readConfig(process.argv.slice(2), process.env)
  const log = createLog({ name: 'gateway', level: config.logLevel })
  const stop = await serve(config, log)
  let isStopping = false
  const end = (signal: NodeJS.Signals) => {
    if (isStopping) return
    isStopping = true
    log.info({ signal }, 'stopping')
    stop().then(
      () => process.exit(0),
      (thrown: unknown) => {
        log.error({ error: thrown }, 'did not stop cleanly')
        process.exit(1)
      },
    )
  }
  process.on('SIGTERM', end)
  process.on('SIGINT', end)
}

main().catch((thrown: unknown) => {
  const error = thrown instanceof IoexError ? thrown : undefined
  const text = error === undefined ? String(thrown) : `${error.message} ${error.fix ?? ''}`
  process.stderr.write(`error: ${text}   [${error?.code ?? 'fault'}]\n`)
  process.exit(error?.code === 'config-invalid' ? 2 : 1)
})
