/**
 * A laboratory of network namespaces: each host has one link (veth) to the bridge of the hub, shaped in both
 * directions by `tc tbf`. The process that calls this runs in the hub itself, and so do all processes that it
 * starts without naming a host.
 */
import { readFile } from 'node:fs/promises'
import { command } from './commands.ts'

export const HUB_ADDRESS = '198.18.0.1'
const PREFIX_BITS = 15

/** Ethernet's header and payload: what a packet takes of tbf's tokens. */
const FRAME_BYTES = 1_514
/**
 * Tokens for a tick of the kernel's clock (HZ=250): with less, a busy machine that serves the timer late loses
 * rate for good; more would let whole images of a thin link through at once.
 */
const BURST_MS = 4
const BURST_FRAMES = 2
/** A queue as in home routers, a tenth of a second; ten packets on thin links. */
const QUEUE_MS = 100
const QUEUE_FRAMES = 10

/** What Linux ships with, and so what most devices have; for ours and for the rivals. */
export const CONGESTION_CONTROL = 'cubic'
const CONGESTION_FILE = '/proc/sys/net/ipv4/tcp_congestion_control'

export interface Rates {
  readonly upKbit: number
  readonly downKbit: number
}

export interface Host {
  readonly name: string
  /** Its address. */
  readonly host: string
  /** Put before a program that shall run there. */
  readonly inside: readonly string[]
}

/** Bytes on the wire since the host was made, Ethernet's headers included, as the hub's end counts them. */
export interface Traffic {
  readonly sentBytes: number
  readonly receivedBytes: number
}

export interface Lab {
  readonly prefix: string
  addHost(name: string, address: string, rates: Rates): Promise<Host>
  reshape(name: string, rates: Rates): Promise<void>
  /** Runs a program in the host's namespace to its end. */
  exec(name: string, program: string, ...args: readonly string[]): Promise<string>
  traffic(): Promise<ReadonlyMap<string, Traffic>>
  /** Ends what runs in the hosts and removes them. */
  clear(): Promise<void>
}

/** Put before a program that shall run in a namespace; it becomes that program. */
function insideOf(namespace: string): readonly string[] {
  return ['ip', 'netns', 'exec', namespace]
}

/** To be called in the hub; there may be one lab in it. */
export async function createLab(prefix: string): Promise<Lab> {
  await command('ip', 'link', 'set', 'lo', 'up')
  await command('ip', 'link', 'add', 'hub', 'type', 'bridge')
  await command('ip', 'address', 'add', `${HUB_ADDRESS}/${PREFIX_BITS}`, 'dev', 'hub')
  await command('ip', 'link', 'set', 'hub', 'up')
  const hosts = new Map<string, Host>()
  const namespaceOf = (name: string) => `${prefix}-${name}`
  const linkOf = (name: string) => `v-${name}`

  const shape = async (verb: 'add' | 'change', name: string, { upKbit, downKbit }: Rates) => {
    const qdisc = (device: string) => ['qdisc', verb, 'dev', device, 'root']
    await command('tc', ...qdisc(linkOf(name)), ...tbf(downKbit))
    await command('ip', 'netns', 'exec', namespaceOf(name), 'tc', ...qdisc('eth0'), ...tbf(upKbit))
  }

  return {
    prefix,
    async addHost(name, address, rates) {
      const namespace = namespaceOf(name)
      const link = linkOf(name)
      const inside = insideOf(namespace)
      const there = (...args: readonly string[]) => command('ip', ...inside.slice(1), ...args)
      await command('ip', 'netns', 'add', namespace)
      const peer = ['peer', 'name', 'eth0', 'netns', namespace]
      await command('ip', 'link', 'add', link, 'type', 'veth', ...peer)
      // Offloading off: one packet is one packet on the wire, for the shaper and for the counters.
      const whole = ['gso_max_segs', '1', 'gso_max_size', '1500']
      await command('ip', 'link', 'set', link, ...whole)
      await command('ip', 'link', 'set', link, 'master', 'hub', 'up')
      await there('ip', 'link', 'set', 'eth0', ...whole)
      await there('ip', 'link', 'set', 'lo', 'up')
      await there('ip', 'address', 'add', `${address}/${PREFIX_BITS}`, 'dev', 'eth0')
      await there('ip', 'link', 'set', 'eth0', 'up')
      await there('sh', '-c', `echo ${CONGESTION_CONTROL} >${CONGESTION_FILE}`)
      await shape('add', name, rates)
      const host = { name, host: address, inside }
      hosts.set(name, host)
      return host
    },
    reshape: (name, rates) => shape('change', name, rates),
    exec: (name, program, ...args) =>
      command('ip', 'netns', 'exec', namespaceOf(name), program, ...args),
    async traffic() {
      const counters = readCounters(await readFile('/proc/self/net/dev', 'utf8'))
      const entries = [...hosts.keys()].map((name): [string, Traffic] => {
        const [received = 0, sent = 0] = counters.get(linkOf(name)) ?? []
        // What comes out of the hub's end was sent by the host.
        return [name, { sentBytes: received, receivedBytes: sent }]
      })
      return new Map(entries)
    },
    async clear() {
      for (const name of hosts.keys()) {
        // A namespace goes when the last process in it is gone; the next host may want the name of its link now.
        await command('ip', 'link', 'del', linkOf(name))
        await removeNamespace(namespaceOf(name))
      }
      hosts.clear()
    },
  }
}

function tbf(rateKbit: number): string[] {
  const bytesIn = (ms: number) => Math.ceil((rateKbit * ms) / 8)
  const burst = Math.max(bytesIn(BURST_MS), BURST_FRAMES * FRAME_BYTES)
  const limit = Math.max(bytesIn(QUEUE_MS), QUEUE_FRAMES * FRAME_BYTES)
  return ['tbf', 'rate', `${rateKbit}kbit`, 'burst', String(burst), 'limit', String(limit)]
}

export function describeShaping(): string {
  return (
    `tbf both ways, burst ${BURST_MS} ms or ${BURST_FRAMES} packets, ` +
    `queue ${QUEUE_MS} ms or ${QUEUE_FRAMES} packets, offloading off`
  )
}

/** Received and sent bytes by device name, from `/proc/net/dev`. */
function readCounters(text: string): Map<string, readonly [number, number]> {
  const counters = new Map<string, readonly [number, number]>()
  for (const line of text.split('\n').slice(2)) {
    const [name = '', ...numbers] = line.trim().split(/[:\s]+/)
    counters.set(name, [Number(numbers[0] ?? 0), Number(numbers[8] ?? 0)])
  }
  return counters
}

/** Ends every process in a namespace, by its number, and removes it. */
export async function removeNamespace(name: string): Promise<void> {
  const pids = (await command('ip', 'netns', 'pids', name)).split('\n').map(Number)
  for (const pid of pids) {
    if (pid <= 1 || pid === process.pid) continue
    try {
      process.kill(pid, 'SIGKILL')
    } catch (thrown) {
      // It has ended in between.
      if (!(thrown instanceof Error && 'code' in thrown && thrown.code === 'ESRCH')) throw thrown
    }
  }
  await command('ip', 'netns', 'del', name)
}
