/** A private Kubo: a repository of its own, no bootstrap, no routing, nothing but loopback, no telemetry. */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import type { Processes, Running } from './processes.ts'

/** The one call whose answer is the content itself. */
const READING = 'cat'
const LOOPBACK = '/ip4/127.0.0.1/tcp/0'
/** Beside the configuration: Kubo asks these before it has read it. */
const QUIET = { IPFS_TELEMETRY: 'off', DO_NOT_TRACK: '1' }

/** Everything by which a node would look for others, or be found. */
const ALONE = {
  Bootstrap: [],
  Routing: { Type: 'none' },
  Discovery: { MDNS: { Enabled: false } },
  Provide: { Enabled: false },
  AutoConf: { Enabled: false },
  AutoTLS: { Enabled: false },
  AutoNAT: { ServiceMode: 'disabled' },
  Version: { SwarmCheckEnabled: false },
  Plugins: { Plugins: { telemetry: { Disabled: true } } },
  DNS: { Resolvers: {} },
  Ipns: { DelegatedPublishers: [] },
}
const SWARM = {
  DisableNatPortMap: true,
  EnableHolePunching: false,
  RelayClient: { Enabled: false },
  RelayService: { Enabled: false },
}

interface Store {
  readonly type?: string
  readonly sync?: boolean
  readonly child?: Store
  readonly mounts?: readonly Store[]
}

export interface KuboNeeds {
  readonly processes: Processes
  readonly binary: string
}

export interface KuboDaemon {
  readonly running: Running
  readonly multiaddrs: readonly string[]
  /** Calls the RPC interface; throws what Kubo says when it does not go well. */
  call(path: string, ...args: readonly string[]): Promise<string>
}

/** Runs one `ipfs` command on a repository that no daemon has open, or that is to be made. */
export async function ipfs(
  needs: KuboNeeds,
  repository: string,
  args: readonly string[],
): Promise<string> {
  const command = needs.processes.start(needs.binary, args, { env: env(repository) })
  const lines: string[] = []
  for (let line = await command.lineOrEnd(); line !== undefined; line = await command.lineOrEnd()) {
    lines.push(line)
  }
  await command.finish()
  return lines.join('\n')
}

export async function initKubo(needs: KuboNeeds, repository: string): Promise<void> {
  await ipfs(needs, repository, ['init', '--empty-repo', '--profile=test'])
  const path = join(repository, 'config')
  const config = JSON.parse(await readFile(path, 'utf8')) as Record<string, object>
  const addresses = { ...config.Addresses, Swarm: [LOOPBACK], API: LOOPBACK, Gateway: [] }
  const alone = { ...config, ...ALONE, Swarm: { ...config.Swarm, ...SWARM }, Addresses: addresses }
  await writeFile(path, JSON.stringify(alone, undefined, 2))
}

/** How the store of blocks is set up as Kubo ships it, in words. */
export async function storeOf(repository: string): Promise<string> {
  const text = await readFile(join(repository, 'config'), 'utf8')
  const config = JSON.parse(text) as { Datastore: { Spec: Store } }
  const flat = (store: Store): readonly Store[] => [
    store,
    ...(store.child === undefined ? [] : flat(store.child)),
    ...(store.mounts ?? []).flatMap(flat),
  ]
  const blocks = flat(config.Datastore.Spec).find(({ type }) => type === 'flatfs')
  return blocks === undefined ? 'no flatfs' : `flatfs with "sync": ${String(blocks.sync)}`
}

const idAnswer = z.object({ Addresses: z.array(z.string()) })

export async function startKubo(needs: KuboNeeds, repository: string): Promise<KuboDaemon> {
  const running = needs.processes.start(needs.binary, ['daemon'], { env: env(repository) })
  while ((await running.line()) !== 'Daemon is ready') continue
  const api = (await readFile(join(repository, 'api'), 'utf8')).split('/')
  const base = `http://${api[2] ?? ''}:${api[4] ?? ''}/api/v0`
  const call = async (path: string, ...args: readonly string[]) => {
    const query = args.map((arg) => `arg=${encodeURIComponent(arg)}`).join('&')
    const answer = await fetch(`${base}/${path}?${query}`, { method: 'POST' })
    if (answer.ok && path === READING) {
      // What it reads out is counted by what its store has afterwards.
      await answer.body?.pipeTo(new WritableStream())
      return ''
    }
    const text = await answer.text()
    if (!answer.ok) throw new Error(`Kubo's ${path} answered ${answer.status}: ${text.trim()}`)
    return text
  }
  return { running, multiaddrs: idAnswer.parse(JSON.parse(await call('id'))).Addresses, call }
}

function env(repository: string): Readonly<Record<string, string>> {
  return { ...QUIET, IPFS_PATH: repository }
}
